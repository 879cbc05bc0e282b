// Classifies the headers of ClassBench traces with DPDK's rte_acl; for bench/classify_against_dpdk.py, which compiles
// it.
//   dpdk_classify BUILD_SECONDS MEMORY_MIB MAX_SIZE_MIB RULES TRACE...
// First it builds, asks for every header once and compares with the last column of the traces (differences to standard
// error), then finds out which algorithm and burst is the fastest, and prints one line of JSON. A build that takes over
// BUILD_SECONDS or more than MEMORY_MIB (of the whole process; MAX_SIZE_MIB: of the tables, 0: no limit) is said to be
// none: {"no_build": "..."}, and the end. Then each line "TRACE_NUMBER SECONDS" of standard input is answered by one
// line with millions of lookups per second over that trace, so that somebody else can be measured in between.
//
// The tables lie on transparent huge pages, as Ringplane's do: --no-huge alone would put them on small ones.
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <rte_acl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { kFields = 5, kMaxTraces = 8, kMaxBurst = 256, kSampleMs = 60, kShownMismatches = 10 };
#define HUGE_PAGE ((size_t)2 << 20)
#define TABLE_HEAP ((size_t)2 << 30)  // touched as a whole when DPDK takes it over

// As on the wire, at offsets that suit rte_acl: one byte first, then four at a time.
struct header {
  uint8_t protocol;
  uint8_t unused[3];
  uint32_t source;
  uint32_t destination;
  uint16_t source_port;
  uint16_t destination_port;
};

struct trace {
  struct header* headers;
  const uint8_t** places;  // of each header
  int64_t* match;          // index of the rule expected, -1: none
  uint32_t count;
  const char* algorithm;
  enum rte_acl_classify_alg which;
  uint32_t burst;
};

RTE_ACL_RULE_DEF(classbench_rule, kFields);

static const struct {
  const char* name;
  enum rte_acl_classify_alg which;
} kAlgorithms[] = {{"AVX512X32", RTE_ACL_CLASSIFY_AVX512X32},
                   {"AVX512X16", RTE_ACL_CLASSIFY_AVX512X16},
                   {"AVX2", RTE_ACL_CLASSIFY_AVX2},
                   {"SSE", RTE_ACL_CLASSIFY_SSE},
                   {"scalar", RTE_ACL_CLASSIFY_SCALAR}};

static void die(const char* what, const char* about) {
  fprintf(stderr, "dpdk_classify: %s: %s\n", what, about);
  exit(1);
}

static double now_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void* grown(void* array, uint32_t count, size_t size) {
  if (count != 0 && (count < 1024 || (count & (count - 1)) != 0)) return array;
  array = realloc(array, (count == 0 ? 1024 : 2 * (size_t)count) * size);
  if (array == NULL) die("out of memory", "reading");
  return array;
}

static struct classbench_rule* read_rules(const char* path, uint32_t* count) {
  FILE* file = fopen(path, "r");
  if (file == NULL) die(path, strerror(errno));
  struct classbench_rule* rules = NULL;
  char line[256];
  for (*count = 0; fgets(line, sizeof line, file) != NULL; ++*count) {
    unsigned source[5], destination[5], source_port[2], destination_port[2], protocol[2];
    if (sscanf(line, "@%u.%u.%u.%u/%u %u.%u.%u.%u/%u %u : %u %u : %u %x/%x", &source[0], &source[1], &source[2],
               &source[3], &source[4], &destination[0], &destination[1], &destination[2], &destination[3],
               &destination[4], &source_port[0], &source_port[1], &destination_port[0], &destination_port[1],
               &protocol[0], &protocol[1]) != 16)
      die(path, line);
    rules = grown(rules, *count, sizeof *rules);
    struct classbench_rule* rule = &rules[*count];
    memset(rule, 0, sizeof *rule);
    rule->field[0].value.u8 = (uint8_t)protocol[0];
    rule->field[0].mask_range.u8 = (uint8_t)protocol[1];
    rule->field[1].value.u32 = source[0] << 24 | source[1] << 16 | source[2] << 8 | source[3];
    rule->field[1].mask_range.u32 = source[4];
    rule->field[2].value.u32 = destination[0] << 24 | destination[1] << 16 | destination[2] << 8 | destination[3];
    rule->field[2].mask_range.u32 = destination[4];
    rule->field[3].value.u16 = (uint16_t)source_port[0];
    rule->field[3].mask_range.u16 = (uint16_t)source_port[1];
    rule->field[4].value.u16 = (uint16_t)destination_port[0];
    rule->field[4].mask_range.u16 = (uint16_t)destination_port[1];
    rule->data.category_mask = 1;
    rule->data.userdata = *count + 1;                          // 0 is "no rule"
    rule->data.priority = RTE_ACL_MAX_PRIORITY - (int)*count;  // the first one wins
  }
  fclose(file);
  return rules;
}

static void read_trace(const char* path, struct trace* trace) {
  FILE* file = fopen(path, "r");
  if (file == NULL) die(path, strerror(errno));
  char line[256];
  for (; fgets(line, sizeof line, file) != NULL; ++trace->count) {
    trace->headers = grown(trace->headers, trace->count, sizeof *trace->headers);
    trace->match = grown(trace->match, trace->count, sizeof *trace->match);
    struct header* header = &trace->headers[trace->count];
    memset(header, 0, sizeof *header);
    unsigned source_port, destination_port, protocol;
    if (sscanf(line, "%" SCNu32 " %" SCNu32 " %u %u %u %" SCNd64, &header->source, &header->destination, &source_port,
               &destination_port, &protocol, &trace->match[trace->count]) != 6)
      die(path, line);
    header->source = htonl(header->source);
    header->destination = htonl(header->destination);
    header->source_port = htons((uint16_t)source_port);
    header->destination_port = htons((uint16_t)destination_port);
    header->protocol = (uint8_t)protocol;
  }
  fclose(file);
  if (trace->count == 0) die(path, "is empty");
  trace->places = malloc(trace->count * sizeof *trace->places);
  if (trace->places == NULL) die("out of memory", path);
  for (uint32_t i = 0; i < trace->count; ++i) trace->places[i] = (const uint8_t*)&trace->headers[i];
}

static void start_dpdk(void) {
  cpu_set_t allowed;
  int cpu = 0;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) die("sched_getaffinity", strerror(errno));
  while (!CPU_ISSET(cpu, &allowed)) ++cpu;
  char number[16];
  snprintf(number, sizeof number, "%d", cpu);
  char* words[] = {"dpdk_classify",
                   "--no-huge",
                   "--no-pci",
                   "--no-telemetry",
                   "--no-shconf",
                   "-m",
                   "64",
                   "-l",
                   number,
                   "--log-level=3",
                   "--force-max-simd-bitwidth=512"};
  if (rte_eal_init(sizeof words / sizeof words[0], words) < 0) die("DPDK does not start", rte_strerror(rte_errno));
}

/// The number DPDK gives to a heap of our own.
static int make_table_heap(void) {
  uint8_t* area = mmap(NULL, TABLE_HEAP + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) die("mmap", strerror(errno));
  area += HUGE_PAGE - (uintptr_t)area % HUGE_PAGE;
  madvise(area, TABLE_HEAP, MADV_HUGEPAGE);
  if (rte_malloc_heap_create("tables") != 0 ||
      rte_malloc_heap_memory_add("tables", area, TABLE_HEAP, NULL, TABLE_HEAP / HUGE_PAGE, HUGE_PAGE) != 0)
    die("no heap for the tables", rte_strerror(rte_errno));
  return rte_malloc_heap_get_socket("tables");
}

static size_t heap_bytes(int heap) {
  struct rte_malloc_socket_stats heap_now;
  if (rte_malloc_get_socket_stats(heap, &heap_now) != 0) die("heap", "does not say how full it is");
  return heap_now.heap_allocsz_bytes;
}

static size_t peak_bytes(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (size_t)usage.ru_maxrss * 1024;
}

static void on_alarm(int number) {
  (void)number;
  static const char kText[] = "{\"no_build\": \"not done in time\"}\n";
  _exit(write(STDOUT_FILENO, kText, sizeof kText - 1) > 0 ? 0 : 1);
}

static struct rte_acl_ctx* build(const struct classbench_rule* rules, uint32_t count, unsigned seconds, size_t max_size,
                                 int heap) {
  const struct rte_acl_param param = {
      .name = "rules", .socket_id = heap, .rule_size = RTE_ACL_RULE_SZ(kFields), .max_rule_num = count};
  struct rte_acl_ctx* rte_acl_rules = rte_acl_create(&param);
  if (rte_acl_rules == NULL ||
      rte_acl_add_rules(rte_acl_rules, (const struct rte_acl_rule*)(const void*)rules, count) != 0)
    die("rte_acl takes no such rules", rte_strerror(rte_errno));
  struct rte_acl_config config = {.num_categories = 1, .num_fields = kFields, .max_size = max_size};
  const struct rte_acl_field_def fields[kFields] = {
      {RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0, offsetof(struct header, protocol)},
      {RTE_ACL_FIELD_TYPE_MASK, 4, 1, 1, offsetof(struct header, source)},
      {RTE_ACL_FIELD_TYPE_MASK, 4, 2, 2, offsetof(struct header, destination)},
      {RTE_ACL_FIELD_TYPE_RANGE, 2, 3, 3, offsetof(struct header, source_port)},
      {RTE_ACL_FIELD_TYPE_RANGE, 2, 4, 3, offsetof(struct header, destination_port)}};
  memcpy(config.defs, fields, sizeof fields);
  signal(SIGALRM, on_alarm);
  alarm(seconds);
  const int error = rte_acl_build(rte_acl_rules, &config);
  alarm(0);
  if (error != 0) {
    const char* why = error == -ENOMEM   ? "out of memory"
                      : error == -ERANGE ? "tables larger than max_size"
                                         : rte_strerror(-error);
    printf("{\"no_build\": \"%s\"}\n", why);
    exit(0);
  }
  return rte_acl_rules;
}

static void ask_for_all(const struct rte_acl_ctx* rules, const struct trace* trace, uint32_t* answers) {
  for (uint32_t first = 0; first < trace->count; first += trace->burst) {
    const uint32_t left = trace->count - first;
    rte_acl_classify(rules, trace->places + first, answers + first, left < trace->burst ? left : trace->burst, 1);
  }
}

static uint64_t count_mismatches(const struct rte_acl_ctx* rules, const struct trace* trace, uint32_t* answers) {
  uint64_t mismatches = 0;
  ask_for_all(rules, trace, answers);
  for (uint32_t i = 0; i < trace->count; ++i) {
    const int64_t answer = (int64_t)answers[i] - 1;
    if (answer == trace->match[i]) continue;
    if (++mismatches <= kShownMismatches)
      fprintf(stderr, "header %" PRIu32 ": rule %" PRId64 ", expected %" PRId64 "\n", i, answer, trace->match[i]);
  }
  return mismatches;
}

/// Millions of lookups per second, over the whole trace again and again.
static double measure(struct rte_acl_ctx* rules, const struct trace* trace, double seconds, uint32_t* answers) {
  if (rte_acl_set_ctx_classify(rules, trace->which) != 0) return 0;
  ask_for_all(rules, trace, answers);  // somebody else had the caches
  uint64_t lookups = 0;
  const double begin = now_s();
  double now = begin;
  while (now - begin < seconds) {
    ask_for_all(rules, trace, answers);
    lookups += trace->count;
    now = now_s();
  }
  return (double)lookups / (now - begin) / 1e6;
}

/// The most mismatches that any of them had.
static uint64_t choose_fastest(struct rte_acl_ctx* rules, struct trace* trace, uint32_t* answers) {
  struct trace fastest = *trace;
  uint64_t mismatches = 0;
  double best = 0;
  for (size_t i = 0; i < sizeof kAlgorithms / sizeof kAlgorithms[0]; ++i) {
    if (rte_acl_set_ctx_classify(rules, kAlgorithms[i].which) != 0) continue;  // not on this processor
    trace->which = kAlgorithms[i].which;
    trace->algorithm = kAlgorithms[i].name;
    for (trace->burst = kMaxBurst / 2; trace->burst <= kMaxBurst; trace->burst *= 2) {
      const uint64_t wrong = count_mismatches(rules, trace, answers);
      if (wrong > mismatches) mismatches = wrong;
      const double rate = measure(rules, trace, kSampleMs / 1e3, answers);
      if (rate <= best) continue;
      best = rate;
      fastest = *trace;
    }
  }
  *trace = fastest;
  return mismatches;
}

static void print_facts(const struct trace* traces, const uint64_t* mismatches, int count, const char* rest) {
  printf("{\"traces\": [");
  for (int i = 0; i < count; ++i)
    printf("%s{\"headers\": %" PRIu32 ", \"algorithm\": \"%s\", \"burst\": %" PRIu32 ", \"mismatches\": %" PRIu64 "}",
           i > 0 ? ", " : "", traces[i].count, traces[i].algorithm, traces[i].burst, mismatches[i]);
  printf("], %s}\n", rest);
  fflush(stdout);
}

int main(int argc, char** argv) {
  static struct trace traces[kMaxTraces];
  uint64_t mismatches[kMaxTraces];
  const int trace_count = argc - 5;
  if (trace_count < 1 || trace_count > kMaxTraces) return 2;
  const struct rlimit memory = {.rlim_cur = strtoull(argv[2], NULL, 10) << 20, .rlim_max = RLIM_INFINITY};
  if (setrlimit(RLIMIT_AS, &memory) != 0) die("setrlimit", strerror(errno));

  uint32_t rule_count = 0;
  struct classbench_rule* rules = read_rules(argv[4], &rule_count);
  uint32_t most = 0;
  for (int i = 0; i < trace_count; ++i) {
    read_trace(argv[5 + i], &traces[i]);
    if (traces[i].count > most) most = traces[i].count;
  }
  uint32_t* answers = calloc(most, sizeof *answers);
  if (answers == NULL) die("out of memory", "answers");

  start_dpdk();
  const int heap = make_table_heap();
  const size_t peak_before = peak_bytes();
  const double begin = now_s();
  struct rte_acl_ctx* rte_acl_rules =
      build(rules, rule_count, (unsigned)atoi(argv[1]), strtoull(argv[3], NULL, 10) << 20, heap);
  const double build_s = now_s() - begin;
  const size_t kept_of_rules = rule_count * sizeof *rules;  // rte_acl's own copy, which nobody asks
  char rest[256];
  snprintf(rest, sizeof rest,
           "\"rule_count\": %" PRIu32 ", \"build_seconds\": %.3f, \"table_bytes\": %zu, \"build_bytes\": %zu",
           rule_count, build_s, heap_bytes(heap) - kept_of_rules, peak_bytes() - peak_before);
  for (int i = 0; i < trace_count; ++i) mismatches[i] = choose_fastest(rte_acl_rules, &traces[i], answers);
  print_facts(traces, mismatches, trace_count, rest);

  unsigned number = 0;
  double seconds = 0;
  while (scanf("%u %lf", &number, &seconds) == 2 && number < (unsigned)trace_count) {
    printf("%.3f\n", measure(rte_acl_rules, &traces[number], seconds, answers));
    fflush(stdout);
  }
  return 0;
}
