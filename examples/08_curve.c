//  08_curve - encrypted and authenticated: the relay has a certificate, and lets in only clients
//  whose public certificates lie in a directory.
//
//      mkdir clients
//      yam keygen relay.cert       (each writes FILE and FILE_secret)
//      yam keygen client.cert
//      cp client.cert clients/
//      08_curve relay.cert_secret clients client.cert_secret PUBLIC-KEY-OF-RELAY
#include <stdio.h>
#include <yam.h>

int
main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr,
                "usage: 08_curve RELAY-SECRET CLIENT-DIRECTORY CLIENT-SECRET RELAY-PUBLIC-KEY\n");
        return 64;
    }
    char options[1024];
    snprintf(options, sizeof options, "certificate=%s&clients=%s", argv[1], argv[2]);
    yam_t *server = yam_new();
    yam_relay_t *relay = yam_relay_new(server, "@tcp://127.0.0.1:*", NULL, options);
    if (relay == NULL) {
        fprintf(stderr, "08_curve: %s\n", yam_error());
        return 1;
    }
    char endpoint[300];
    snprintf(endpoint, sizeof endpoint, ">%s?grade=sure&server-key=%s",
             yam_relay_endpoints(relay) + (yam_relay_endpoints(relay)[0] == '@'), argv[4]);
    yam_t *client = yam_new();
    int rc = yam_set_certificate(client, argv[3]);
    yam_push_t *push = rc == -1 ? NULL : yam_push_new(client, "secrets", endpoint);
    if (push == NULL || yam_push_send(push, "classified", 10) == -1) {
        fprintf(stderr, "08_curve: %s\n", yam_error());
        return 1;
    }
    uint64_t missing = yam_push_close(&push, 5000);
    printf("%llu not confirmed\n", (unsigned long long) missing);
    yam_destroy(&client);
    yam_relay_destroy(&relay);
    yam_destroy(&server);
    return missing == 0 ? 0 : 1;
}
