/* Writes numbered records to a ring of its own.
 *
 *     cc -O2 -Wall -o producer producer.c
 *     ./producer SOCKET RECORDS tap         gives the ring to a tap, which must keep up
 *     ./producer SOCKET RECORDS consumer    to a reader that it waits for
 *
 * A reader listens at SOCKET, a path. The program connects, hands the ring over, waits
 * for one byte that says that the reader is ready, and writes. It ends when the reader
 * closes its end.
 */
#define _GNU_SOURCE
#include "ringcast_ring.h"
#include <sched.h>
#include <stdlib.h>
#include <sys/un.h>

static void fail(const char *step, int error)
{
    fprintf(stderr, "%s: %s\n", step, strerror(error));
    exit(1);
}

static int reach(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        fail(path, ENAMETOOLONG);
    strcpy(address.sun_path, path);
    int reader = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (reader < 0 || connect(reader, (struct sockaddr *)&address, sizeof address) != 0)
        fail(path, errno);
    return reader;
}

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "usage: %s SOCKET RECORDS tap|consumer\n", arguments[0]);
        return 2;
    }
    long records = strtol(arguments[2], NULL, 10);
    int is_tap = strcmp(arguments[3], "tap") == 0;
    int reader = reach(arguments[1]);

    struct ringcast_ring ring;
    int error = ringcast_create(&ring, "c-producer", is_tap ? 1 << 20 : 4096);
    if (error < 0)
        fail("ring", -error);
    error = is_tap ? ringcast_offer_tap(&ring, reader) : ringcast_offer_consumer(&ring, reader);
    if (error < 0)
        fail("handover", -error);
    char ready;
    if (read(reader, &ready, 1) != 1)
        fail("the reader", EPIPE);

    for (long number = 0; number < records; number++) {
        char text[128];
        int bytes = snprintf(text, sizeof text, "record %ld%.*s", number, (int)(number % 50),
                             "..................................................");
        void *body;
        while ((body = ringcast_claim(&ring, (uint32_t)bytes, 7)) == NULL) {
            if (errno != EAGAIN)
                fail("claim", errno);
            sched_yield();
        }
        memcpy(body, text, (size_t)bytes);
        ringcast_publish(&ring);
    }
    printf("wrote %ld records, %llu bytes of ring\n", records, (unsigned long long)ring.published);
    fflush(stdout);
    while (read(reader, &ready, 1) > 0)
        continue;
    ringcast_destroy(&ring);
    return 0;
}
