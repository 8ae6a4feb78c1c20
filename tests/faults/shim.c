/* A disk that fails when it is told to: preloaded into ringmail, it stands between LMDB and the
 * system calls that write the store's data file.
 *
 * It keeps a journal of every write that no sync has made durable yet: where, and what was there
 * before. The journal lies in a file that is mapped, so it survives the process. When the process
 * is dead, the test takes back what a power cut might have taken. Undoing it in here would let
 * other threads of the living process see it.
 *
 * Only calls of libc come by here. LMDB makes such calls; io_uring goes past them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The kinds of operation on the data file. LMDB writes pages, syncs them, and then writes its
 * meta page through a descriptor that was opened with O_DSYNC. */
enum kind { WRITE, SYNC, META, KINDS };

enum deed { CUT_BEFORE = 1, CUT_AFTER, FAIL, SHORT };

/* What the disk lies about. */
enum lie { LIE_SYNC = 1, LIE_META = 2 };

/* The head of the shared file; `disk.rs` knows the order of its fields. */
struct control {
    uint64_t done[KINDS]; /* operations so far */
    uint64_t kind;        /* of the operations that the deed is for */
    uint64_t first, last; /* their numbers, counted from 1; 0: none */
    uint64_t deed;
    uint64_t error;       /* errno of FAIL */
    uint64_t fired;       /* how often */
    uint64_t lies;
    uint64_t used;        /* octets of the journal */
    uint64_t lost;        /* octets at its start whose writes no later sync makes durable */
};

/* A write, followed by what it overwrote, padded to 8 octets. */
struct record {
    uint64_t offset, length;
    uint64_t size; /* of the file, before it */
};

#define HEAD 4096

static struct control *control;
static char *journal;
static uint64_t journal_room;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* What each descriptor is. */
enum { OTHER, DATA, DATA_DSYNC, SCRATCH };
#define DESCRIPTORS 65536
static unsigned char descriptors[DESCRIPTORS];

static void give_up(const char *why)
{
    dprintf(2, "shim: %s: %s\n", why, strerror(errno));
    abort();
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("RINGMAIL_TEST_DISK");
    if (path == NULL)
        give_up("RINGMAIL_TEST_DISK names no file");
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) != 0)
        give_up(path);
    char *map = mmap(NULL, stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        give_up("mmap");
    syscall(SYS_close, fd);
    control = (struct control *)map;
    journal = map + HEAD;
    journal_room = stat.st_size - HEAD;
}

static int what(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS ? descriptors[fd] : OTHER;
}

static int ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), wanted = strlen(end);
    return length >= wanted && strcmp(path + length - wanted, end) == 0;
}

/* What is durable is decided here. The real disk need not be troubled, and how busy others keep it
 * does not matter: a sync takes the time that one takes. */
static void take_the_time_of_a_sync(void)
{
    nanosleep(&(struct timespec){ 0, 300000 }, NULL);
}

static int really(const char *path, int flags)
{
    return ends_with(path, "/data.mdb") ? flags & ~O_DSYNC : flags;
}

static int opened(int fd, const char *path, int flags)
{
    if (fd < 0 || fd >= DESCRIPTORS)
        return fd;
    descriptors[fd] = OTHER;
    if (ends_with(path, "/data.mdb"))
        descriptors[fd] = (flags & O_DSYNC) ? DATA_DSYNC : DATA;
    else if (ends_with(path, "/scratch"))
        descriptors[fd] = SCRATCH;
    return fd;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Counts an operation; the deed that is to be done to it, or 0. */
static uint64_t count(enum kind kind)
{
    uint64_t number = ++control->done[kind];
    if (control->kind != kind || number < control->first || number > control->last)
        return 0;
    control->fired++;
    if (control->deed == CUT_BEFORE)
        die();
    return control->deed;
}

static uint64_t padded(uint64_t length)
{
    return (length + 7) / 8 * 8;
}

/* Writes down what lies where a write will go. */
static void note(int fd, uint64_t offset, uint64_t length)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        give_up("fstat");
    uint64_t room = sizeof(struct record) + padded(length);
    if (control->used + room > journal_room)
        give_up("the journal is full");
    struct record *record = (struct record *)(journal + control->used);
    *record = (struct record){ offset, length, stat.st_size };
    char *before = (char *)(record + 1);
    memset(before, 0, length);
    /* The descriptor may be one for writing only: read through a new one. */
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reader = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (reader < 0)
        give_up("open for reading");
    for (uint64_t at = 0; at < length;) {
        long part = syscall(SYS_pread64, reader, before + at, length - at, offset + at);
        if (part <= 0)
            break; /* the end of the file */
        at += part;
    }
    syscall(SYS_close, reader);
    /* A process killed before this line has not written either. */
    __atomic_store_n(&control->used, control->used + room, __ATOMIC_RELEASE);
}

/* The write that was noted last is durable: it is no record any more, and what older ones would
 * put back in its place is what it wrote. */
static void make_durable(uint64_t start, const struct iovec *parts, int count)
{
    struct record *last = (struct record *)(journal + start);
    uint64_t end = last->offset + last->length;
    for (uint64_t at = 0; at < start;) {
        struct record *record = (struct record *)(journal + at);
        uint64_t offset = last->offset;
        for (int i = 0; i < count; i++) {
            for (size_t octet = 0; octet < parts[i].iov_len; octet++, offset++) {
                if (offset >= record->offset && offset < record->offset + record->length
                    && offset < end)
                    ((char *)(record + 1))[offset - record->offset] =
                        ((char *)parts[i].iov_base)[octet];
            }
        }
        if (record->size < end)
            record->size = end;
        at += sizeof *record + padded(record->length);
    }
    control->used = start;
}

/* One write to the data file. */
static ssize_t carry(int fd, const struct iovec *parts, int count_of_parts, uint64_t offset)
{
    pthread_mutex_lock(&one_at_a_time);
    enum kind kind = what(fd) == DATA_DSYNC ? META : WRITE;
    uint64_t deed = count(kind);
    uint64_t length = 0;
    for (int i = 0; i < count_of_parts; i++)
        length += parts[i].iov_len;
    ssize_t result;
    uint64_t start = control->used;
    if (deed == FAIL && kind == WRITE) {
        errno = control->error;
        result = -1;
    } else if (deed == SHORT) {
        /* The disk had room for a part of the first piece. */
        note(fd, offset, parts[0].iov_len / 2);
        result = syscall(SYS_pwrite64, fd, parts[0].iov_base, parts[0].iov_len / 2, offset);
    } else {
        note(fd, offset, length);
        result = syscall(SYS_pwritev, fd, parts, count_of_parts, offset, 0);
        if (deed == FAIL) {
            /* A write that also syncs fails by its sync: the kernel's cache has the new octets,
             * the disk perhaps, and no later sync will bring them there. */
            control->lost = control->used;
            errno = control->error;
            result = -1;
        } else if (kind == META && !(control->lies & LIE_META)) {
            if (result != (ssize_t)length)
                give_up("a meta page was not written whole");
            take_the_time_of_a_sync();
            make_durable(start, parts, count_of_parts);
        }
    }
    if (deed == CUT_AFTER)
        die();
    int error = errno;
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return result;
}

static int sync_data(void)
{
    pthread_mutex_lock(&one_at_a_time);
    uint64_t deed = count(SYNC);
    int result = 0;
    if (deed == FAIL) {
        /* The kernel has told once and takes the pages for clean from now on. */
        control->lost = control->used;
        errno = control->error;
        result = -1;
    } else if (!(control->lies & LIE_SYNC)) {
        take_the_time_of_a_sync();
        control->used = control->lost;
    }
    if (deed == CUT_AFTER)
        die();
    int error = errno;
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return result;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = va_arg(arguments, int);
    va_end(arguments);
    return opened(syscall(SYS_openat, AT_FDCWD, path, really(path, flags), mode), path, flags);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = va_arg(arguments, int);
    va_end(arguments);
    return open(path, flags | O_LARGEFILE, mode);
}

int close(int fd)
{
    if (fd >= 0 && fd < DESCRIPTORS)
        descriptors[fd] = OTHER;
    return syscall(SYS_close, fd);
}

ssize_t pwrite(int fd, const void *octets, size_t length, off_t offset)
{
    struct iovec part = { (void *)octets, length };
    if (what(fd) == DATA || what(fd) == DATA_DSYNC)
        return carry(fd, &part, 1, offset);
    return syscall(SYS_pwrite64, fd, octets, length, offset);
}

ssize_t pwrite64(int fd, const void *octets, size_t length, off64_t offset)
{
    return pwrite(fd, octets, length, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count_of_parts, off_t offset)
{
    if (what(fd) == DATA || what(fd) == DATA_DSYNC)
        return carry(fd, parts, count_of_parts, offset);
    return syscall(SYS_pwritev, fd, parts, count_of_parts, offset, 0);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count_of_parts, off64_t offset)
{
    return pwritev(fd, parts, count_of_parts, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count_of_parts)
{
    if (what(fd) != DATA && what(fd) != DATA_DSYNC)
        return syscall(SYS_writev, fd, parts, count_of_parts);
    off_t offset = syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t result = carry(fd, parts, count_of_parts, offset);
    if (result > 0)
        syscall(SYS_lseek, fd, offset + result, SEEK_SET);
    return result;
}

ssize_t write(int fd, const void *octets, size_t length)
{
    struct iovec part = { (void *)octets, length };
    if (what(fd) == DATA || what(fd) == DATA_DSYNC)
        return writev(fd, &part, 1);
    /* A disk that has no room for the data file has none for the file beside it. */
    int full = control != NULL && control->error == ENOSPC && control->last > control->done[WRITE];
    if (what(fd) == SCRATCH && full) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_write, fd, octets, length);
}

int fdatasync(int fd)
{
    if (what(fd) == DATA || what(fd) == DATA_DSYNC)
        return sync_data();
    return syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    if (what(fd) == DATA || what(fd) == DATA_DSYNC)
        return sync_data();
    return syscall(SYS_fsync, fd);
}

/* LMDB cuts and maps its file for writing only in modes that ringmail does not use. If that
 * changes, this file must learn it. */
int ftruncate(int fd, off_t length)
{
    if (what(fd) == DATA || what(fd) == DATA_DSYNC)
        give_up("ftruncate of the data file is not known here");
    return syscall(SYS_ftruncate, fd, length);
}

int ftruncate64(int fd, off64_t length)
{
    return ftruncate(fd, length);
}

int msync(void *start, size_t length, int flags)
{
    (void)start, (void)length, (void)flags;
    give_up("msync is not known here");
    return -1;
}
