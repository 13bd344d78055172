//  Keys for the runs with CURVE.

#include <stdio.h>
#include <zmq.h>

#include "driver.h"

const bench_curve_t *bench_curve;

//  In CZMQ's format, which yam_set_certificate reads.
static void
s_save(const bench_curve_t *curve)
{
    FILE *file = fopen(curve->certificate, "w");
    if (!file) {
        bench_fail("cannot write %s", curve->certificate);
    }
    (void) fprintf(file, "curve\n    public-key = \"%s\"\n    secret-key = \"%s\"\n",
                   curve->public_key, curve->secret_key);
    if (fclose(file) != 0) {
        bench_fail("cannot write %s", curve->certificate);
    }
}

const bench_curve_t *
bench_curve_keys(void)
{
    static bench_curve_t curve;
    if (!curve.certificate) {
        if (zmq_curve_keypair(curve.public_key, curve.secret_key) == -1) {
            bench_fail("libzmq has no CURVE");
        }
        curve.certificate = bench_path("fast.cert");
        s_save(&curve);
    }
    return &curve;
}
