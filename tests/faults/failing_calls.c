/* Preloaded, it counts the system calls of one family and fails one of them, once a process has armed it.
   A process that FAULT ("family at error") names in its environment is armed from its start; what is armed for
   forked processes counts anew in each. Each failure is a line at the end of the file that FAULTS_TOLD names, with
   the path that was to be opened. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static char armed[16], forked[16];
static long fails_at, count;
static int fails_with;

static void arm(char *which, const char *family, long at, int error) {
    count = 0;
    fails_at = at;
    fails_with = error;
    strncpy(which, family, sizeof armed - 1);
}

void fault_arm(const char *family, long at, int error) {
    arm(armed, family, at, error);
}

void fault_arm_forked(const char *family, long at, int error) {
    arm(forked, family, at, error);
}

long fault_disarm(void) {
    armed[0] = 0;
    return count;
}

__attribute__((constructor)) static void from_environment(void) {
    char family[16];
    long at;
    int error;
    const char *text = getenv("FAULT");
    if (text && sscanf(text, "%15s %ld %d", family, &at, &error) == 3)
        fault_arm(family, at, error);
}

static int fails_with_path(const char *family, const char *path) {
    if (strcmp(armed, family) != 0 || __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) != fails_at)
        return 0;
    const char *told = getenv("FAULTS_TOLD");
    long file = told ? syscall(SYS_openat, AT_FDCWD, told, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    if (file >= 0) {
        syscall(SYS_write, file, path, strlen(path));
        syscall(SYS_write, file, "\n", 1);
        syscall(SYS_close, file);
    }
    errno = fails_with;
    return 1;
}

static int fails(const char *family) {
    return fails_with_path(family, "");
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;
}

#define OPEN(name)                                                                                                    \
    int name(const char *path, int flags, ...) {                                                                      \
        va_list rest;                                                                                                 \
        va_start(rest, flags);                                                                                        \
        int mode = mode_of(flags, rest);                                                                              \
        va_end(rest);                                                                                                 \
        return fails_with_path("open", path) ? -1 : NEXT(name)(path, flags, mode);                                    \
    }
#define OPENAT(name)                                                                                                  \
    int name(int folder, const char *path, int flags, ...) {                                                          \
        va_list rest;                                                                                                 \
        va_start(rest, flags);                                                                                        \
        int mode = mode_of(flags, rest);                                                                              \
        va_end(rest);                                                                                                 \
        return fails_with_path("open", path) ? -1 : NEXT(name)(folder, path, flags, mode);                            \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int file, const void *data, size_t size) {
    return fails("write") ? -1 : NEXT(write)(file, data, size);
}

int fsync(int file) {
    return fails("fsync") ? -1 : NEXT(fsync)(file);
}

int rename(const char *old, const char *new) {
    return fails("rename") ? -1 : NEXT(rename)(old, new);
}

int renameat(int before, const char *old, int after, const char *new) {
    return fails("rename") ? -1 : NEXT(renameat)(before, old, after, new);
}

int unlink(const char *path) {
    return fails("unlink") ? -1 : NEXT(unlink)(path);
}

int unlinkat(int folder, const char *path, int flags) {
    return fails("unlink") ? -1 : NEXT(unlinkat)(folder, path, flags);
}

int flock(int file, int operation) {
    int (*honest)(int, int) = dlsym(RTLD_NEXT, "flock");
    return fails("flock") ? -1 : honest(file, operation);
}

int mkdir(const char *path, mode_t mode) {
    return fails("mkdir") ? -1 : NEXT(mkdir)(path, mode);
}

pid_t fork(void) {
    if (fails("fork"))
        return -1;
    pid_t child = NEXT(fork)();
    if (child == 0 && forked[0])
        fault_arm(forked, fails_at, fails_with);
    return child;
}

/* A function that returns cannot stand in vfork's place; fork does all that its callers want. */
pid_t vfork(void) {
    return fails("fork") ? -1 : NEXT(fork)();
}

int pipe(int files[2]) {
    return fails("pipe") ? -1 : NEXT(pipe)(files);
}

int pipe2(int files[2], int flags) {
    return fails("pipe") ? -1 : NEXT(pipe2)(files, flags);
}

int socketpair(int domain, int type, int protocol, int files[2]) {
    int (*honest)(int, int, int, int *) = dlsym(RTLD_NEXT, "socketpair");
    return fails("pipe") ? -1 : honest(domain, type, protocol, files);
}
