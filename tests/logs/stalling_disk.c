/* A disk that does not answer, for a process that preloads this library.
 *
 * An operation on a path below $STALLED_ROOT waits as long as the file $STALLS/OPERATION exists;
 * it says so by the file $STALLS/OPERATION.hit. Other paths are never held up.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_below_root(const char *path) {
    const char *root = getenv("STALLED_ROOT");
    return root != NULL && path != NULL && strncmp(path, root, strlen(root)) == 0;
}

static int is_file_below_root(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = '\0';
    return is_below_root(path);
}

static void wait_while_stalled(const char *operation) {
    char stall[PATH_MAX], hit[PATH_MAX];
    const char *stalls = getenv("STALLS");
    if (stalls == NULL) return;
    snprintf(stall, sizeof stall, "%s/%s", stalls, operation);
    if (syscall(SYS_access, stall, F_OK) != 0) return;
    snprintf(hit, sizeof hit, "%s.hit", stall);
    int fd = syscall(SYS_openat, AT_FDCWD, hit, O_CREAT | O_WRONLY, 0600);
    if (fd >= 0) syscall(SYS_close, fd);
    while (syscall(SYS_access, stall, F_OK) == 0) usleep(1000);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_PATH(type, name, parameters, path, arguments) \
    type name parameters { \
        if (is_below_root(path)) wait_while_stalled(#name); \
        return REAL(name) arguments; \
    }
#define ON_FILE(type, name, parameters, fd, arguments) \
    type name parameters { \
        if (is_file_below_root(fd)) wait_while_stalled(#name); \
        return REAL(name) arguments; \
    }

ON_FILE(ssize_t, write, (int fd, const void *bytes, size_t size), fd, (fd, bytes, size))
ON_FILE(int, fsync, (int fd), fd, (fd))
ON_FILE(int, close, (int fd), fd, (fd))
ON_PATH(int, rename, (const char *from, const char *to), from, (from, to))
ON_PATH(int, mkdir, (const char *path, mode_t mode), path, (path, mode))
ON_PATH(int, unlink, (const char *path), path, (path))

#define ON_STAT(name, kind) \
    int name(const char *path, struct kind *found) { \
        if (is_below_root(path)) wait_while_stalled("stat"); \
        return REAL(name)(path, found); \
    }

ON_STAT(stat, stat)
ON_STAT(stat64, stat64)

#define ON_OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (is_below_root(path)) wait_while_stalled("open"); \
        return REAL(name)(path, flags, mode); \
    }

ON_OPEN(open)
ON_OPEN(open64)
