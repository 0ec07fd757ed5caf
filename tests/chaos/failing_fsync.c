/* Loaded before the C library (LD_PRELOAD): while the file that IPAM_FAULT names is there, fsync and fdatasync of files
   below a directory "log" fail as a broken disk makes them fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(int fd) {
    char link[64], path[4096];
    const char *fault = getenv("IPAM_FAULT");
    if (!fault || access(fault, F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, path, sizeof path - 1);
    if (bytes < 0) return 0;
    path[bytes] = 0;
    return strstr(path, "/log/") != NULL;
}

static int act(const char *name, int fd) {
    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}

int fsync(int fd) { return act("fsync", fd); }
int fdatasync(int fd) { return act("fdatasync", fd); }
