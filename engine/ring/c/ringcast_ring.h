/* The producer's side of a ringcast ring, version 1, for programs in C and C++.
 *
 * A ring is a log in shared memory: one producer appends records, readers in other
 * processes get the memory over a Unix socket. The layout and the rules are those of
 * docs/ring.md; this header needs nothing but Linux and a compiler with the __atomic
 * functions (gcc, clang), and works on little-endian machines only.
 *
 * A producer is used by one thread. Functions return 0 or a negative errno, unless
 * they say otherwise.
 */
#ifndef RINGCAST_RING_H
#define RINGCAST_RING_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first #include: memfd_create and seals need it"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the layout is little-endian and is used in place"
#endif

#define RINGCAST_MAGIC UINT64_C(0x54534143474e4952) /* "RINGCAST" */
#define RINGCAST_HANDOVER_MAGIC "RINGHAND"
#define RINGCAST_VERSION 1u
#define RINGCAST_HEADER_BYTES 8192u
#define RINGCAST_CONSUMERS_MAX 60
#define RINGCAST_RECORD_HEAD_BYTES 8u
#define RINGCAST_CAPACITY_MIN UINT64_C(4096)
#define RINGCAST_CAPACITY_MAX (UINT64_C(1) << 33)
#define RINGCAST_NO_CONSUMER UINT64_MAX
#define RINGCAST_NO_PLACE UINT32_MAX

/* Where the words of the header lie. */
#define RINGCAST_MAGIC_AT 0
#define RINGCAST_VERSION_AT 8
#define RINGCAST_CAPACITY_AT 16
#define RINGCAST_CLAIMED_AT 128
#define RINGCAST_PUBLISHED_AT 136
#define RINGCAST_EPOCH_AT 144
#define RINGCAST_COMMITTED_AT 256
#define RINGCAST_SLEEPERS_AT 384
#define RINGCAST_CURSOR_AT(place) (512 + 128 * (place))

/* Kinds of records; all others are yours. */
#define RINGCAST_KIND_PADDING 0
#define RINGCAST_KIND_MESSAGE 1

struct ringcast_ring {
    uint8_t *base;
    uint64_t capacity;
    uint64_t claimed;     /* past the last record written */
    uint64_t claimed_max; /* the furthest ever claimed, abandoned records too */
    uint64_t published;
    int memory; /* the memfd */
    int lock;   /* says to others that the ring has a producer */
    int bells[RINGCAST_CONSUMERS_MAX]; /* eventfds; -1 where nobody is waited for */
};

static inline uint64_t *ringcast_word(const struct ringcast_ring *ring, uint64_t at)
{
    return (uint64_t *)(void *)(ring->base + at);
}

/* Gives everything back; readers keep what they mapped. */
static inline void ringcast_destroy(struct ringcast_ring *ring)
{
    if (ring->base != NULL)
        munmap(ring->base, RINGCAST_HEADER_BYTES + ring->capacity);
    for (int place = 0; place < RINGCAST_CONSUMERS_MAX; place++)
        if (ring->bells[place] >= 0)
            close(ring->bells[place]);
    if (ring->lock >= 0)
        close(ring->lock);
    if (ring->memory >= 0)
        close(ring->memory);
}

static inline int ringcast_fail(struct ringcast_ring *ring)
{
    int error = errno;
    ringcast_destroy(ring);
    return -error;
}

/* A descriptor of the memory that does not allow to write. */
static inline int ringcast_reopen_read_only(const struct ringcast_ring *ring)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", ring->memory);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Makes a ring with so many bytes of data, a power of two from 4096 to 2^33: a memfd
 * that is allocated in full and can neither shrink nor grow. */
static inline int ringcast_create(struct ringcast_ring *ring, const char *name, uint64_t capacity)
{
    memset(ring, 0, sizeof *ring);
    ring->memory = ring->lock = -1;
    for (int place = 0; place < RINGCAST_CONSUMERS_MAX; place++)
        ring->bells[place] = -1;
    if (capacity < RINGCAST_CAPACITY_MIN || capacity > RINGCAST_CAPACITY_MAX ||
        (capacity & (capacity - 1)) != 0)
        return -EINVAL;
    off_t bytes = (off_t)(RINGCAST_HEADER_BYTES + capacity);
    ring->memory = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (ring->memory < 0 || ftruncate(ring->memory, bytes) != 0)
        return ringcast_fail(ring);
    while (fallocate(ring->memory, 0, 0, bytes) != 0)
        if (errno != EINTR)
            return ringcast_fail(ring);
    void *base = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                      ring->memory, 0);
    if (base == MAP_FAILED)
        return ringcast_fail(ring);
    ring->base = (uint8_t *)base;
    ring->capacity = capacity;
    ring->lock = ringcast_reopen_read_only(ring);
    if (ring->lock < 0 || flock(ring->lock, LOCK_EX | LOCK_NB) != 0 ||
        fcntl(ring->memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
        return ringcast_fail(ring);
    *ringcast_word(ring, RINGCAST_VERSION_AT) =
        RINGCAST_VERSION | (uint64_t)RINGCAST_HEADER_BYTES << 32;
    *ringcast_word(ring, RINGCAST_CAPACITY_AT) = capacity;
    *ringcast_word(ring, RINGCAST_EPOCH_AT) = 1;
    for (int place = 0; place < RINGCAST_CONSUMERS_MAX; place++)
        *ringcast_word(ring, RINGCAST_CURSOR_AT(place)) = RINGCAST_NO_CONSUMER;
    __atomic_store_n(ringcast_word(ring, RINGCAST_MAGIC_AT), RINGCAST_MAGIC, __ATOMIC_RELEASE);
    return 0;
}

/* The least cursor of those that are waited for. A cursor that cannot be is a lie, and
 * holds nothing up. */
static inline uint64_t ringcast_least_cursor(const struct ringcast_ring *ring)
{
    uint64_t least = ring->published;
    for (int place = 0; place < RINGCAST_CONSUMERS_MAX; place++) {
        if (ring->bells[place] < 0)
            continue;
        uint64_t cursor = __atomic_load_n(ringcast_word(ring, RINGCAST_CURSOR_AT(place)),
                                          __ATOMIC_ACQUIRE);
        if (cursor <= ring->published && ring->published - cursor <= ring->capacity &&
            cursor < least)
            least = cursor;
    }
    return least;
}

static inline void ringcast_write_head(struct ringcast_ring *ring, uint32_t bytes, uint16_t kind)
{
    uint64_t at = RINGCAST_HEADER_BYTES + (ring->claimed & (ring->capacity - 1));
    __atomic_store_n(ringcast_word(ring, at), bytes | (uint64_t)kind << 32, __ATOMIC_RELAXED);
}

/* Room for the body of the next record, to be filled before ringcast_publish or
 * ringcast_abandon. NULL with errno EAGAIN while a consumer still needs the room;
 * EMSGSIZE if the record would take more than a quarter of the ring; EINVAL for the
 * kind of padding. */
static inline void *ringcast_claim(struct ringcast_ring *ring, uint32_t body_bytes, uint16_t kind)
{
    uint64_t bytes = ((uint64_t)body_bytes + RINGCAST_RECORD_HEAD_BYTES + 7) & ~UINT64_C(7);
    uint64_t until_wrap = ring->capacity - (ring->claimed & (ring->capacity - 1));
    uint64_t padding = bytes > until_wrap ? until_wrap : 0;
    uint64_t end = ring->claimed + padding + bytes;
    if (kind == RINGCAST_KIND_PADDING || bytes > ring->capacity / 4) {
        errno = kind == RINGCAST_KIND_PADDING ? EINVAL : EMSGSIZE;
        return NULL;
    }
    if (end - ringcast_least_cursor(ring) > ring->capacity) {
        errno = EAGAIN;
        return NULL;
    }
    if (end > ring->claimed_max) {
        /* Before anything is overwritten; a tap looks at it after it copied. */
        ring->claimed_max = end;
        __atomic_store_n(ringcast_word(ring, RINGCAST_CLAIMED_AT), end, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_RELEASE);
    }
    if (padding > 0) {
        ringcast_write_head(ring, (uint32_t)padding - RINGCAST_RECORD_HEAD_BYTES,
                            RINGCAST_KIND_PADDING);
        ring->claimed += padding;
    }
    ringcast_write_head(ring, body_bytes, kind);
    uint64_t at = RINGCAST_HEADER_BYTES + (ring->claimed & (ring->capacity - 1));
    ring->claimed = end;
    return ring->base + at + RINGCAST_RECORD_HEAD_BYTES;
}

/* Wakes the consumers that said they sleep; ringcast_publish calls it. */
static inline void ringcast_wake(struct ringcast_ring *ring)
{
    uint64_t *sleepers = ringcast_word(ring, RINGCAST_SLEEPERS_AT);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(sleepers, __ATOMIC_RELAXED) == 0)
        return;
    uint64_t bits = __atomic_exchange_n(sleepers, 0, __ATOMIC_ACQ_REL);
    for (int place = 0; place < RINGCAST_CONSUMERS_MAX; place++)
        if ((bits >> place & 1) != 0 && ring->bells[place] >= 0)
            (void)eventfd_write(ring->bells[place], 1);
}

/* Makes all records that were claimed readable, at once. */
static inline void ringcast_publish(struct ringcast_ring *ring)
{
    if (ring->published == ring->claimed)
        return;
    ring->published = ring->claimed;
    __atomic_store_n(ringcast_word(ring, RINGCAST_PUBLISHED_AT), ring->published,
                     __ATOMIC_RELEASE);
    ringcast_wake(ring);
}

/* Forgets all records that were claimed and not published. */
static inline void ringcast_abandon(struct ringcast_ring *ring)
{
    ring->claimed = ring->published;
}

static inline int ringcast_send(int socket, uint32_t place, int memory, int bell)
{
    uint8_t bytes[16];
    uint32_t version = RINGCAST_VERSION;
    int descriptors[2] = {memory, bell};
    size_t count = bell < 0 ? 1 : 2;
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message;
    ssize_t sent;
    memcpy(bytes, RINGCAST_HANDOVER_MAGIC, 8);
    memcpy(bytes + 8, &version, 4);
    memcpy(bytes + 12, &place, 4);
    memset(&message, 0, sizeof message);
    memset(&control, 0, sizeof control);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(rights), descriptors, count * sizeof(int));
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* Gives the ring to a tap at the other end of a Unix socket: it copies records, is not
 * waited for, and gets a descriptor that does not allow to write. Look at SO_PEERCRED
 * first if just anybody can connect. */
static inline int ringcast_offer_tap(struct ringcast_ring *ring, int socket)
{
    int memory = ringcast_reopen_read_only(ring);
    if (memory < 0)
        return -errno;
    int sent = ringcast_send(socket, RINGCAST_NO_PLACE, memory, -1);
    close(memory);
    return sent;
}

/* No longer waits for a consumer that is gone. */
static inline void ringcast_remove_consumer(struct ringcast_ring *ring, int place)
{
    close(ring->bells[place]);
    ring->bells[place] = -1;
    __atomic_store_n(ringcast_word(ring, RINGCAST_CURSOR_AT(place)), RINGCAST_NO_CONSUMER,
                     __ATOMIC_RELAXED);
}

/* Gives the ring to a reader that is waited for and woken; it may write to the memory.
 * Returns its place, for ringcast_remove_consumer when the socket says that it is gone;
 * -ENOSPC if all places are taken. */
static inline int ringcast_offer_consumer(struct ringcast_ring *ring, int socket)
{
    int place = 0;
    while (place < RINGCAST_CONSUMERS_MAX && ring->bells[place] >= 0)
        place++;
    if (place == RINGCAST_CONSUMERS_MAX)
        return -ENOSPC;
    int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell < 0)
        return -errno;
    ring->bells[place] = bell;
    __atomic_store_n(ringcast_word(ring, RINGCAST_CURSOR_AT(place)), ring->published,
                     __ATOMIC_RELAXED);
    int sent = ringcast_send(socket, (uint32_t)place, ring->memory, bell);
    if (sent < 0)
        ringcast_remove_consumer(ring, place);
    return sent < 0 ? sent : place;
}

#endif
