#include <string.h>

#include "TesseraHost.h"

#if defined(__x86_64__)
#include <cpuid.h>

// Which registers the operating system saves, as XGETBV tells: a feature counts only if its registers are kept.
enum { NONE = 0, YMM = 0x6, ZMM = 0xE6, TILES = 0x60000 };
enum { EAX, EBX, ECX, EDX };

/// A bit of CPUID (Intel SDM vol. 2A, "CPUID"; AMD APM vol. 3, appendix E).
static const struct Feature {
  const char *name;
  uint32_t leaf, subleaf;
  uint8_t reg, bit;
  uint32_t saved;
} features[] = {
    {"sse", 1, 0, EDX, 25, NONE},
    {"sse2", 1, 0, EDX, 26, NONE},
    {"pni", 1, 0, ECX, 0, NONE},
    {"pclmulqdq", 1, 0, ECX, 1, NONE},
    {"ssse3", 1, 0, ECX, 9, NONE},
    {"fma", 1, 0, ECX, 12, YMM},
    {"cx16", 1, 0, ECX, 13, NONE},
    {"sse4_1", 1, 0, ECX, 19, NONE},
    {"sse4_2", 1, 0, ECX, 20, NONE},
    {"movbe", 1, 0, ECX, 22, NONE},
    {"popcnt", 1, 0, ECX, 23, NONE},
    {"aes", 1, 0, ECX, 25, NONE},
    {"xsave", 1, 0, ECX, 26, NONE},
    {"avx", 1, 0, ECX, 28, YMM},
    {"f16c", 1, 0, ECX, 29, YMM},
    {"rdrand", 1, 0, ECX, 30, NONE},
    {"bmi1", 7, 0, EBX, 3, NONE},
    {"avx2", 7, 0, EBX, 5, YMM},
    {"bmi2", 7, 0, EBX, 8, NONE},
    {"erms", 7, 0, EBX, 9, NONE},
    {"avx512f", 7, 0, EBX, 16, ZMM},
    {"avx512dq", 7, 0, EBX, 17, ZMM},
    {"adx", 7, 0, EBX, 19, NONE},
    {"avx512ifma", 7, 0, EBX, 21, ZMM},
    {"clflushopt", 7, 0, EBX, 23, NONE},
    {"avx512cd", 7, 0, EBX, 28, ZMM},
    {"sha_ni", 7, 0, EBX, 29, NONE},
    {"avx512bw", 7, 0, EBX, 30, ZMM},
    {"avx512vl", 7, 0, EBX, 31, ZMM},
    {"avx512vbmi", 7, 0, ECX, 1, ZMM},
    {"avx512_vbmi2", 7, 0, ECX, 6, ZMM},
    {"gfni", 7, 0, ECX, 8, NONE},
    {"vaes", 7, 0, ECX, 9, YMM},
    {"vpclmulqdq", 7, 0, ECX, 10, YMM},
    {"avx512_vnni", 7, 0, ECX, 11, ZMM},
    {"avx512_bitalg", 7, 0, ECX, 12, ZMM},
    {"avx512_vpopcntdq", 7, 0, ECX, 14, ZMM},
    {"amx_bf16", 7, 0, EDX, 22, TILES},
    {"avx512_fp16", 7, 0, EDX, 23, ZMM},
    {"amx_tile", 7, 0, EDX, 24, TILES},
    {"amx_int8", 7, 0, EDX, 25, TILES},
    {"avx_vnni", 7, 1, EAX, 4, YMM},
    {"avx512_bf16", 7, 1, EAX, 5, ZMM},
    {"amx_fp16", 7, 1, EAX, 21, TILES},
    {"avx_ifma", 7, 1, EAX, 23, YMM},
    {"lahf_lm", 0x80000001, 0, ECX, 0, NONE},
    {"abm", 0x80000001, 0, ECX, 5, NONE},
    {"sse4a", 0x80000001, 0, ECX, 6, NONE},
    {"fma4", 0x80000001, 0, ECX, 16, YMM},
};

static uint32_t saved_registers(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27))) return 0;  // OSXSAVE
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

size_t tsr_cpu_features(const char **names, size_t capacity) {
  const uint32_t saved = saved_registers();
  size_t count = 0;
  for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
    const struct Feature *feature = &features[i];
    uint32_t registers[4];
    if (!__get_cpuid_count(feature->leaf, feature->subleaf, &registers[EAX], &registers[EBX], &registers[ECX],
                           &registers[EDX]))
      continue;
    if (!(registers[feature->reg] >> feature->bit & 1) || (saved & feature->saved) != feature->saved) continue;
    if (count < capacity) names[count] = feature->name;
    count++;
  }
  return count;
}

void tsr_cpu_name(char name[64]) {
  uint32_t words[12] = {0}, unused;
  memset(name, 0, 64);
  if (!__get_cpuid(0x80000000, &words[0], &unused, &unused, &unused) || words[0] < 0x80000004) return;
  for (uint32_t i = 0; i < 3; i++)
    __get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
  memcpy(name, words, 48);
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

// The numbers of arch/arm64/include/uapi/asm/hwcap.h, given here because older headers lack the newer ones.
static const struct Feature {
  const char *name;
  uint8_t word, bit;  // 0: AT_HWCAP, 1: AT_HWCAP2
} features[] = {
    {"fp", 0, 0},       {"asimd", 0, 1},   {"aes", 0, 3},      {"atomics", 0, 8}, {"fphp", 0, 9},
    {"asimdhp", 0, 10}, {"fcma", 0, 14},   {"asimddp", 0, 20}, {"sve", 0, 22},    {"asimdfhm", 0, 23},
    {"sve2", 1, 1},     {"svei8mm", 1, 9}, {"svebf16", 1, 12}, {"i8mm", 1, 13},   {"bf16", 1, 14},
    {"sme", 1, 23},
};

size_t tsr_cpu_features(const char **names, size_t capacity) {
  const unsigned long words[2] = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
  size_t count = 0;
  for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
    if (!(words[features[i].word] >> features[i].bit & 1)) continue;
    if (count < capacity) names[count] = features[i].name;
    count++;
  }
  return count;
}

void tsr_cpu_name(char name[64]) { memset(name, 0, 64); }

#else
size_t tsr_cpu_features(const char **names, size_t capacity) {
  (void)names;
  (void)capacity;
  return 0;
}

void tsr_cpu_name(char name[64]) { memset(name, 0, 64); }
#endif
