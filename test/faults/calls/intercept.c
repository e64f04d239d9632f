/*
 * Stands between a program and the system's file calls (LD_PRELOAD): numbers those that concern the watched folders,
 * over all threads and native libraries, records them with their data, and lets one of them fail or the process die
 * just before it. Driven by intercept.ts.
 *
 * strace can inject too, but counts per thread and per kind of call, so that most points of a program with threads
 * cannot be named with it.
 *
 * A record is a line `number name result errno inode mtime offset length path TAB second path`
 * (mtime in nanoseconds), and then `length` bytes.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define MAX_WATCHED 8
#define LOG_DESCRIPTOR_FROM 400

/* The call that comes next in the search order: libc's own. */
#define REAL(name, type, ...)                                                                                          \
  static type (*real)(__VA_ARGS__);                                                                                    \
  if (real == NULL) *(void **)(&real) = dlsym(RTLD_NEXT, name)

static char watched[MAX_WATCHED][PATH_MAX];
static int watched_count;
static int log_descriptor = -1;
static int with_data;
static int without_syncs;
static useconds_t write_delay; /* In microseconds */
static const char *counted_calls;
static const char *armed_by; /* Calls are counted once this file is there */
static const char *boot_id; /* The file that is read as the system's boot id */
static long fault_at;
static int fault_errno; /* 0: the process is killed */
static long count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static ssize_t real_write(int descriptor, const void *bytes, size_t length) {
  REAL("write", ssize_t, int, const void *, size_t);
  return real(descriptor, bytes, length);
}

__attribute__((constructor)) static void start(void) {
  const char *log = getenv("FAULTS_LOG");
  const char *folders = getenv("FAULTS_WATCHED");
  if (log == NULL || folders == NULL) return;
  char *list = strdup(folders);
  for (char *rest = list, *folder; (folder = strsep(&rest, ":")) != NULL && watched_count < MAX_WATCHED;)
    snprintf(watched[watched_count++], PATH_MAX, "%s", folder);
  free(list);
  with_data = getenv("FAULTS_DATA") != NULL;
  without_syncs = getenv("FAULTS_WITHOUT_SYNCS") != NULL;
  counted_calls = getenv("FAULTS_CALLS");
  armed_by = getenv("FAULTS_ARMED_BY");
  boot_id = getenv("FAULTS_BOOT_ID");
  write_delay = getenv("FAULTS_WRITE_DELAY") == NULL ? 0 : atol(getenv("FAULTS_WRITE_DELAY"));
  fault_at = getenv("FAULTS_AT") == NULL ? 0 : atol(getenv("FAULTS_AT"));
  fault_errno = getenv("FAULTS_ERRNO") == NULL ? 0 : atoi(getenv("FAULTS_ERRNO"));
  REAL("open", int, const char *, int, ...);
  int descriptor = real(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  /* Out of the way of programs that count their descriptors, unless they may not have so many. */
  log_descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, LOG_DESCRIPTOR_FROM);
  if (log_descriptor < 0) log_descriptor = descriptor;
  else close(descriptor);
}

static int is_watched(const char *path) {
  for (int i = 0; i < watched_count; i++) {
    size_t length = strlen(watched[i]);
    if (strncmp(path, watched[i], length) == 0 && (path[length] == '/' || path[length] == '\0')) return 1;
  }
  return 0;
}

static int is_counted(const char *name) {
  if (armed_by != NULL && access(armed_by, F_OK) != 0) return 0;
  if (counted_calls == NULL) return 1;
  size_t length = strlen(name);
  for (const char *found = counted_calls; (found = strstr(found, name)) != NULL; found += length) {
    int starts = found == counted_calls || found[-1] == ',';
    if (starts && (found[length] == ',' || found[length] == '\0')) return 1;
  }
  return 0;
}

static void path_of(int descriptor, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  path[length < 0 ? 0 : length] = '\0';
}

static void absolute(int folder, const char *given, char *path) {
  char base[PATH_MAX] = "";
  if (given[0] != '/') {
    if (folder == AT_FDCWD) {
      if (getcwd(base, sizeof base) == NULL) base[0] = '\0';
    } else path_of(folder, base);
    strncat(base, "/", sizeof base - strlen(base) - 1);
  }
  strncat(base, given, sizeof base - strlen(base) - 1);
  memcpy(path, base, sizeof base);
}

struct call {
  const char *name;
  long number;
  char path[PATH_MAX];
  char second[PATH_MAX];
};

static void record(struct call *call, long result, int error, const struct stat *stats, off_t offset,
    const struct iovec *data, int pieces) {
  size_t length = 0;
  for (int i = 0; i < pieces; i++) length += data[i].iov_len;
  if (result >= 0 && (size_t)result < length) length = result;
  if (!with_data || result < 0) length = 0;
  char line[2 * PATH_MAX + 160];
  int size = snprintf(line, sizeof line, "%ld %s %ld %d %llu %lld%09ld %lld %zu %s\t%s\n", call->number,
      call->name, result, result < 0 ? error : 0, (unsigned long long)stats->st_ino, (long long)stats->st_mtim.tv_sec,
      stats->st_mtim.tv_nsec, (long long)offset, length, call->path, call->second);
  if (real_write(log_descriptor, line, size) != size) abort();
  for (int i = 0; i < pieces && length > 0; i++) {
    size_t part = data[i].iov_len < length ? data[i].iov_len : length;
    for (size_t done = 0; done < part;) {
      ssize_t written = real_write(log_descriptor, (const char *)data[i].iov_base + done, part - done);
      if (written <= 0) abort();
      done += written;
    }
    length -= part;
  }
}

/* Whether the call is to go on. Until `finish`, no other watched call runs, so that the record has their true order. */
static int begin(struct call *call, const char *name) {
  if (write_delay > 0 && strcmp(name, "write") == 0) usleep(write_delay);
  pthread_mutex_lock(&lock);
  call->name = name;
  call->number = is_counted(name) ? ++count : 0;
  if (call->number == 0 || call->number != fault_at) return 1;
  call->name = "fired";
  snprintf(call->second, PATH_MAX, "%s", name);
  record(call, 0, 0, &(struct stat){0}, 0, NULL, 0);
  if (fault_errno == 0) {
    kill(getpid(), SIGKILL);
    pause();
  }
  pthread_mutex_unlock(&lock);
  errno = fault_errno;
  return 0;
}

static void finish(struct call *call, long result, int descriptor, off_t offset, const struct iovec *data, int pieces) {
  int error = errno;
  struct stat stats = {0};
  if (result >= 0 && descriptor >= 0) fstat(descriptor, &stats);
  record(call, result, error, &stats, offset, data, pieces);
  pthread_mutex_unlock(&lock);
  errno = error;
}

static int watches_descriptor(struct call *call, int descriptor) {
  if (log_descriptor < 0 || descriptor == log_descriptor) return 0;
  int error = errno;
  path_of(descriptor, call->path);
  call->second[0] = '\0';
  errno = error;
  return is_watched(call->path);
}

static int watches_path(struct call *call, int folder, const char *path) {
  if (log_descriptor < 0) return 0;
  absolute(folder, path, call->path);
  call->second[0] = '\0';
  return is_watched(call->path);
}

static int watches_paths(struct call *call, int from_folder, const char *from, int to_folder, const char *to) {
  int watches = watches_path(call, from_folder, from);
  if (log_descriptor < 0) return 0;
  absolute(to_folder, to, call->second);
  return watches || is_watched(call->second);
}

/* Where a write that follows the file's own position has landed. */
static off_t landed(int descriptor, ssize_t written) {
  return lseek(descriptor, 0, SEEK_CUR) - (written > 0 ? written : 0);
}

/* What the program tells its caller, so that the record shows when. */
static void record_output(int descriptor, const struct iovec *data, int pieces, ssize_t written) {
  if (!with_data || descriptor != 1 || log_descriptor < 0 || written < 0) return;
  struct call call = {.name = "stdout"};
  pthread_mutex_lock(&lock);
  record(&call, written, 0, &(struct stat){0}, 0, data, pieces);
  pthread_mutex_unlock(&lock);
}

EXPORTED ssize_t write(int descriptor, const void *bytes, size_t length) {
  struct iovec data = {(void *)bytes, length};
  struct call call;
  if (!watches_descriptor(&call, descriptor)) {
    ssize_t written = real_write(descriptor, bytes, length);
    record_output(descriptor, &data, 1, written);
    return written;
  }
  if (!begin(&call, "write")) return -1;
  ssize_t written = real_write(descriptor, bytes, length);
  finish(&call, written, descriptor, landed(descriptor, written), &data, 1);
  return written;
}

EXPORTED ssize_t writev(int descriptor, const struct iovec *data, int pieces) {
  REAL("writev", ssize_t, int, const struct iovec *, int);
  struct call call;
  if (!watches_descriptor(&call, descriptor)) {
    ssize_t written = real(descriptor, data, pieces);
    record_output(descriptor, data, pieces, written);
    return written;
  }
  if (!begin(&call, "write")) return -1;
  ssize_t written = real(descriptor, data, pieces);
  finish(&call, written, descriptor, landed(descriptor, written), data, pieces);
  return written;
}

#define POSITIONED_WRITE(name)                                                                                         \
  EXPORTED ssize_t name(int descriptor, const void *bytes, size_t length, off_t offset) {                              \
    REAL(#name, ssize_t, int, const void *, size_t, off_t);                                                            \
    struct iovec data = {(void *)bytes, length};                                                                       \
    struct call call;                                                                                                  \
    if (!watches_descriptor(&call, descriptor)) return real(descriptor, bytes, length, offset);                        \
    if (!begin(&call, "write")) return -1;                                                                             \
    ssize_t written = real(descriptor, bytes, length, offset);                                                         \
    finish(&call, written, descriptor, offset, &data, 1);                                                              \
    return written;                                                                                                    \
  }
POSITIONED_WRITE(pwrite)
POSITIONED_WRITE(pwrite64)

#define POSITIONED_WRITEV(name)                                                                                        \
  EXPORTED ssize_t name(int descriptor, const struct iovec *data, int pieces, off_t offset) {                          \
    REAL(#name, ssize_t, int, const struct iovec *, int, off_t);                                                       \
    struct call call;                                                                                                  \
    if (!watches_descriptor(&call, descriptor)) return real(descriptor, data, pieces, offset);                         \
    if (!begin(&call, "write")) return -1;                                                                             \
    ssize_t written = real(descriptor, data, pieces, offset);                                                          \
    finish(&call, written, descriptor, offset, data, pieces);                                                          \
    return written;                                                                                                    \
  }
POSITIONED_WRITEV(pwritev)
POSITIONED_WRITEV(pwritev64)

#define READ(name, PARAMETERS, ARGUMENTS)                                                                              \
  EXPORTED ssize_t name PARAMETERS {                                                                                   \
    static ssize_t(*real) PARAMETERS;                                                                                  \
    if (real == NULL) *(void **)(&real) = dlsym(RTLD_NEXT, #name);                                                     \
    struct call call;                                                                                                  \
    if (!watches_descriptor(&call, descriptor)) return real ARGUMENTS;                                                 \
    if (!begin(&call, "read")) return -1;                                                                              \
    ssize_t result = real ARGUMENTS;                                                                                   \
    finish(&call, result, -1, 0, NULL, 0);                                                                             \
    return result;                                                                                                     \
  }
READ(read, (int descriptor, void *bytes, size_t length), (descriptor, bytes, length))
READ(readv, (int descriptor, const struct iovec *data, int pieces), (descriptor, data, pieces))
READ(pread, (int descriptor, void *bytes, size_t length, off_t offset), (descriptor, bytes, length, offset))
READ(pread64, (int descriptor, void *bytes, size_t length, off_t offset), (descriptor, bytes, length, offset))
READ(preadv, (int descriptor, const struct iovec *data, int pieces, off_t offset), (descriptor, data, pieces, offset))
READ(preadv64, (int descriptor, const struct iovec *data, int pieces, off_t offset), (descriptor, data, pieces, offset))

#define ON_DESCRIPTOR(name, recorded, OFFSET, PARAMETERS, ARGUMENTS)                                                   \
  EXPORTED int name PARAMETERS {                                                                                       \
    static int(*real) PARAMETERS;                                                                                      \
    if (real == NULL) *(void **)(&real) = dlsym(RTLD_NEXT, #name);                                                     \
    struct call call;                                                                                                  \
    if (!watches_descriptor(&call, descriptor)) return real ARGUMENTS;                                                 \
    if (!begin(&call, recorded)) return -1;                                                                            \
    int result = real ARGUMENTS;                                                                                       \
    finish(&call, result, descriptor, OFFSET, NULL, 0);                                                                \
    return result;                                                                                                     \
  }

#define SYNC(name)                                                                                                     \
  EXPORTED int name(int descriptor) {                                                                                  \
    REAL(#name, int, int);                                                                                             \
    struct call call;                                                                                                  \
    if (!watches_descriptor(&call, descriptor)) return real(descriptor);                                               \
    if (!begin(&call, #name)) return -1;                                                                               \
    int result = without_syncs ? 0 : real(descriptor);                                                                 \
    finish(&call, result, descriptor, 0, NULL, 0);                                                                     \
    return result;                                                                                                     \
  }
SYNC(fsync)
SYNC(fdatasync)
ON_DESCRIPTOR(ftruncate, "ftruncate", length, (int descriptor, off_t length), (descriptor, length))
ON_DESCRIPTOR(futimens, "utimes", 0, (int descriptor, const struct timespec times[2]), (descriptor, times))
ON_DESCRIPTOR(ftruncate64, "ftruncate", length, (int descriptor, off_t length), (descriptor, length))

/* An open that may make or cut a file is told from one that only looks; one that cuts has offset 1. */
static int open_recorded(int folder, const char *path, int flags, mode_t mode) {
  REAL("openat", int, int, const char *, int, ...);
  struct call call;
  if (boot_id != NULL && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) path = boot_id;
  if (!watches_path(&call, folder, path)) return real(folder, path, flags, mode);
  if (!begin(&call, flags & (O_CREAT | O_TRUNC) ? "create" : "open")) return -1;
  int descriptor = real(folder, path, flags, mode);
  finish(&call, descriptor, descriptor, flags & O_TRUNC ? 1 : 0, NULL, 0);
  return descriptor;
}

#define OPEN(name, FOLDER, ...)                                                                                        \
  EXPORTED int name(__VA_ARGS__, int flags, ...) {                                                                     \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                                                          \
    va_end(rest);                                                                                                      \
    return open_recorded(FOLDER, path, flags, mode);                                                                   \
  }
OPEN(open, AT_FDCWD, const char *path)
OPEN(open64, AT_FDCWD, const char *path)
OPEN(openat, folder, int folder, const char *path)
OPEN(openat64, folder, int folder, const char *path)

/*
 * LevelDB writes with stdio, whose own calls nobody can stand in front of: a stream of a watched file is therefore one
 * that calls the functions above.
 */
#define MAX_STREAMS 64
static struct stream {
  FILE *file;
  int descriptor;
} streams[MAX_STREAMS];

static ssize_t write_stream(void *cookie, const char *bytes, size_t length) {
  ssize_t written = write(((struct stream *)cookie)->descriptor, bytes, length);
  return written < 0 ? 0 : written;
}

static int close_stream(void *cookie) {
  struct stream *stream = cookie;
  int result = close(stream->descriptor);
  stream->file = NULL;
  return result;
}

static FILE *open_stream(const char *path, int flags) {
  int descriptor = open_recorded(AT_FDCWD, path, flags | O_CLOEXEC, 0666);
  if (descriptor < 0) return NULL;
  pthread_mutex_lock(&lock);
  struct stream *stream = streams;
  while (stream->file != NULL) {
    if (++stream == streams + MAX_STREAMS) abort();
  }
  stream->descriptor = descriptor;
  stream->file = fopencookie(stream, "w", (cookie_io_functions_t){.write = write_stream, .close = close_stream});
  pthread_mutex_unlock(&lock);
  return stream->file;
}

#define OPEN_STREAM(name)                                                                                              \
  EXPORTED FILE *name(const char *path, const char *mode) {                                                            \
    REAL(#name, FILE *, const char *, const char *);                                                                   \
    struct call call;                                                                                                  \
    if (mode[0] == 'r' || !watches_path(&call, AT_FDCWD, path)) return real(path, mode);                               \
    return open_stream(path, O_WRONLY | O_CREAT | (mode[0] == 'a' ? O_APPEND : O_TRUNC));                              \
  }
OPEN_STREAM(fopen)
OPEN_STREAM(fopen64)

#define DESCRIPTOR_OF(name)                                                                                            \
  EXPORTED int name(FILE *file) {                                                                                      \
    for (struct stream *stream = streams; stream < streams + MAX_STREAMS; stream++) {                                  \
      if (stream->file == file) return stream->descriptor;                                                             \
    }                                                                                                                  \
    REAL(#name, int, FILE *);                                                                                          \
    return real(file);                                                                                                 \
  }
DESCRIPTOR_OF(fileno)
DESCRIPTOR_OF(fileno_unlocked)

#define ON_PATH(name, recorded, FOLDER, PARAMETERS, ARGUMENTS)                                                         \
  EXPORTED int name PARAMETERS {                                                                                       \
    static int(*real) PARAMETERS;                                                                                      \
    if (real == NULL) *(void **)(&real) = dlsym(RTLD_NEXT, #name);                                                     \
    struct call call;                                                                                                  \
    if (!watches_path(&call, FOLDER, path)) return real ARGUMENTS;                                                     \
    if (!begin(&call, recorded)) return -1;                                                                            \
    int result = real ARGUMENTS;                                                                                       \
    finish(&call, result, -1, 0, NULL, 0);                                                                             \
    return result;                                                                                                     \
  }
ON_PATH(unlink, "unlink", AT_FDCWD, (const char *path), (path))
ON_PATH(unlinkat, "unlink", folder, (int folder, const char *path, int flags), (folder, path, flags))
ON_PATH(rmdir, "unlink", AT_FDCWD, (const char *path), (path))
ON_PATH(remove, "unlink", AT_FDCWD, (const char *path), (path))
ON_PATH(mkdir, "mkdir", AT_FDCWD, (const char *path, mode_t mode), (path, mode))
ON_PATH(mkdirat, "mkdir", folder, (int folder, const char *path, mode_t mode), (folder, path, mode))

#define ON_PATHS(name, recorded, FROM, TO, PARAMETERS, ARGUMENTS)                                                      \
  EXPORTED int name PARAMETERS {                                                                                       \
    static int(*real) PARAMETERS;                                                                                      \
    if (real == NULL) *(void **)(&real) = dlsym(RTLD_NEXT, #name);                                                     \
    struct call call;                                                                                                  \
    if (!watches_paths(&call, FROM, from, TO, to)) return real ARGUMENTS;                                              \
    if (!begin(&call, recorded)) return -1;                                                                            \
    int result = real ARGUMENTS;                                                                                       \
    finish(&call, result, -1, 0, NULL, 0);                                                                             \
    return result;                                                                                                     \
  }
ON_PATHS(rename, "rename", AT_FDCWD, AT_FDCWD, (const char *from, const char *to), (from, to))
ON_PATHS(renameat, "rename", from_folder, to_folder, (int from_folder, const char *from, int to_folder, const char *to),
    (from_folder, from, to_folder, to))
ON_PATHS(renameat2, "rename", from_folder, to_folder,
    (int from_folder, const char *from, int to_folder, const char *to, unsigned int flags),
    (from_folder, from, to_folder, to, flags))
ON_PATHS(link, "link", AT_FDCWD, AT_FDCWD, (const char *from, const char *to), (from, to))

/* Where a link leads is no path that is watched. */
EXPORTED int symlink(const char *target, const char *path) {
  REAL("symlink", int, const char *, const char *);
  struct call call;
  if (!watches_path(&call, AT_FDCWD, path)) return real(target, path);
  if (!begin(&call, "symlink")) return -1;
  int result = real(target, path);
  snprintf(call.second, PATH_MAX, "%s", target);
  finish(&call, result, -1, 0, NULL, 0);
  return result;
}
