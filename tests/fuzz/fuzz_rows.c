//  The rows of an administration reply, as a client reads them from a relay it need not trust.

#include "harness/fuzz.h"
#include "yami_admin_rows.h"
#include "yami_base.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yami_admin_rows_t rows = {0};
    uint8_t *bytes = fuzz_copy(data, size);
    if (yami_admin_rows_read(&rows, yami_slice(bytes, size)) == 0) {
        size_t seen = 0;
        for (size_t row = 0; row < rows.row_count; row++) {
            size_t first = yami_admin_rows_first(&rows, row);
            YAM_ASSERT(first <= rows.field_count);
            for (size_t at = first; at < rows.field_count && rows.fields[at].row == row; at++) {
                YAM_ASSERT(yami_admin_rows_find(&rows, row, rows.fields[at].name));
                YAM_ASSERT((rows.fields[at].bytes == NULL) ==
                           (rows.fields[at].type == 'i' || rows.fields[at].type == 'b'));
                seen++;
            }
        }
        YAM_ASSERT(seen == rows.field_count);
    } else {
        YAM_ASSERT(rows.row_count == 0 && rows.field_count == 0);
    }
    yami_admin_rows_clear(&rows);
    yami_free(bytes);
    return 0;
}
