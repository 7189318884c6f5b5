/* Preloaded, it lets the wall clock jump by a day either way from one reading to the next, as DAYS says ("0,1,-1").
   Clocks that only count on are left as they are. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long jump(void) {
    static long days[16];
    static int num_days = 0;
    static unsigned reading = 0;
    if (num_days == 0) {
        const char *text = getenv("DAYS");
        do
            days[num_days++] = strtol(text, (char **)&text, 10);
        while (*text++ == ',' && num_days < 16);
    }
    return 86400 * days[__atomic_fetch_add(&reading, 1, __ATOMIC_RELAXED) % num_days];
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*honest)(clockid_t, struct timespec *);
    if (!honest)
        honest = dlsym(RTLD_NEXT, "clock_gettime");
    int status = honest(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += jump();
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec found;
    (void)zone;
    int status = clock_gettime(CLOCK_REALTIME, &found);
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return status;
}

time_t time(time_t *now) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (now)
        *now = found.tv_sec;
    return found.tv_sec;
}
