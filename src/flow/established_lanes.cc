#include "flow/established_lanes.h"

#include <cstddef>
#include <cstdint>

#include "base/ids.h"
#include "base/sixteen_lanes.h"
#include "base/vector_target.h"
#include "base/vector_width.h"
#include "flow/established.h"
#include "flow/flow.h"
#include "flow/timeouts.h"
#include "wire/plain_headers.h"

namespace ringplane::flow {

#ifdef __x86_64__
namespace {

using base::all_lanes;
using base::kLanes;
using base::Words;

// A record as sixteen 32-bit words.
static_assert(sizeof(Flow) == 64 && offsetof(Flow, addresses) == 0 && offsetof(Flow, port) == 8 &&
              offsetof(Flow, zone) == 12 && offsetof(Flow, protocol) == 16 && offsetof(Flow, generation) == 20 &&
              offsetof(Flow, packets) == 22 && offsetof(Flow, peer) == 26 && offsetof(Flow, max_window) == 28 &&
              offsetof(Flow, sent_end) == 32 && offsetof(Flow, allowed_end) == 40 && offsetof(Flow, bytes) == 48 &&
              offsetof(Flow, last_seen) == 56 && offsetof(Flow, path) == 60);

struct FlowLanes {
  Words key;     // addresses of endpoints 1 and 0, ports, zone
  Words state;   // protocol to timeout_set; generation, packets[0]; packets[1], peers; windows
  Words limits;  // sent_end, allowed_end
  Words totals;  // bytes, last_seen, path
};

/// What the sixteen packets say.
struct PacketLanes {
  __m512i low_address;   // of endpoint 1
  __m512i high_address;  // of endpoint 0
  __m512i ports;
  __m512i zone;
  __m512i length, seq, end, ack, window;
  __mmask16 from_upper, second_side, udp, ordinary;
};

/// Both halves of sixteen 64-bit elements.
RINGPLANE_AVX512_INLINE void load_halves(const std::uint64_t* from, __m512i& low, __m512i& high) noexcept {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i first = _mm512_load_si512(from);
  const __m512i second = _mm512_load_si512(from + 8);
  low = _mm512_permutex2var_epi32(first, even, second);
  high = _mm512_permutex2var_epi32(first, _mm512_add_epi32(even, all_lanes(1)), second);
}

RINGPLANE_AVX512_INLINE PacketLanes load_packets(const EstablishedBurst& burst, std::size_t first) noexcept {
  const wire::PlainHeaders& headers = burst.headers;
  PacketLanes packets;
  load_halves(&headers.addresses[first], packets.low_address, packets.high_address);
  load_halves(&headers.ports_and_zone[first], packets.ports, packets.zone);
  packets.length = _mm512_load_si512(&headers.ip_length[first]);
  packets.seq = _mm512_load_si512(&headers.seq[first]);
  packets.end = _mm512_load_si512(&headers.end[first]);
  packets.ack = _mm512_load_si512(&headers.ack[first]);
  packets.window = _mm512_load_si512(&headers.window[first]);
  packets.from_upper = static_cast<__mmask16>(headers.from_upper >> first);
  packets.second_side = static_cast<__mmask16>(burst.second_side >> first);
  packets.udp = static_cast<__mmask16>(headers.udp >> first);
  packets.ordinary = static_cast<__mmask16>(headers.ordinary >> first);
  return packets;
}

/// differs() == 0.
RINGPLANE_AVX512_INLINE __mmask16 same(const FlowLanes& flow, const PacketLanes& packet,
                                       std::uint16_t generation) noexcept {
  static_assert(flow_flag::kOriginalUpper == 0x02 && flow_flag::kOriginalSecondPort == 0x20);
  const EstablishedFlow tcp = EstablishedFlow::tcp(generation);
  const EstablishedFlow udp = EstablishedFlow::udp(generation);
  const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
  const auto high = [](std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); };
  __mmask16 same = _mm512_cmpeq_epi32_mask(flow.key.word[0], packet.low_address);
  same = _mm512_mask_cmpeq_epi32_mask(same, flow.key.word[1], packet.high_address);
  same = _mm512_mask_cmpeq_epi32_mask(same, flow.key.word[2], packet.ports);
  same = _mm512_mask_cmpeq_epi32_mask(same, flow.key.word[3], packet.zone);
  const __m512i wanted = _mm512_mask_mov_epi32(all_lanes(low(tcp.word)), packet.udp, all_lanes(low(udp.word)));
  same = _mm512_mask_cmpeq_epi32_mask(
      same, _mm512_and_si512(flow.state.word[0], all_lanes(low(EstablishedFlow::kMask))), wanted);
  same = _mm512_mask_cmpeq_epi32_mask(
      same, _mm512_and_si512(flow.state.word[1], all_lanes(high(EstablishedFlow::kMask))), all_lanes(high(tcp.word)));
  const __m512i peers = _mm512_and_si512(flow.state.word[2], all_lanes(0x0f0f'0000));
  const __m512i wanted_peers = _mm512_mask_mov_epi32(all_lanes(std::uint32_t{tcp.peers} << 16), packet.udp,
                                                     all_lanes(std::uint32_t{udp.peers} << 16));
  same = _mm512_mask_cmpeq_epi32_mask(same, peers, wanted_peers);
  const __mmask16 original_upper =
      _mm512_test_epi32_mask(flow.state.word[0], all_lanes(std::uint32_t{flow_flag::kOriginalUpper} << 16));
  const __mmask16 original_second =
      _mm512_test_epi32_mask(flow.state.word[0], all_lanes(std::uint32_t{flow_flag::kOriginalSecondPort} << 16));
  return static_cast<__mmask16>(same & ~(original_upper ^ original_second ^ packet.from_upper ^ packet.second_side));
}

/// step_established() of those that `judged` names; the others pass and change nothing. `reply`: the sender is the
/// reply side. Returns what passes, its limits and windows moved.
RINGPLANE_AVX512_INLINE __mmask16 move_windows(FlowLanes& flow, const PacketLanes& packet, __mmask16 reply,
                                               __mmask16 judged) noexcept {
  const auto original = static_cast<__mmask16>(~reply);
  const __m512i windows = flow.state.word[3];
  const __m512i first_window = _mm512_and_si512(windows, all_lanes(0xffff));
  const __m512i second_window = _mm512_srli_epi32(windows, 16);
  const __m512i from_max = _mm512_mask_mov_epi32(first_window, reply, second_window);
  const __m512i to_max = _mm512_mask_mov_epi32(second_window, reply, first_window);
  const __m512i first_scale = _mm512_and_si512(_mm512_srli_epi32(flow.state.word[2], 20), all_lanes(0x0f));
  const __m512i second_scale = _mm512_srli_epi32(flow.state.word[2], 28);
  const __m512i scale = _mm512_mask_mov_epi32(first_scale, reply, second_scale);
  const __m512i to_scale = _mm512_mask_mov_epi32(second_scale, reply, first_scale);
  const __m512i one = all_lanes(1);
  const __m512i from_window = _mm512_max_epu32(_mm512_sllv_epi32(from_max, scale), one);
  const __m512i to_window = _mm512_max_epu32(_mm512_sllv_epi32(to_max, to_scale), one);

  const __m512i sent_from = _mm512_mask_mov_epi32(flow.limits.word[0], reply, flow.limits.word[1]);
  const __m512i sent_to = _mm512_mask_mov_epi32(flow.limits.word[1], reply, flow.limits.word[0]);
  const __m512i allowed_from = _mm512_mask_mov_epi32(flow.limits.word[2], reply, flow.limits.word[3]);
  const __m512i allowed_to = _mm512_mask_mov_epi32(flow.limits.word[3], reply, flow.limits.word[2]);
  const __m512i zero = _mm512_setzero_si512();
  __mmask16 passes = _mm512_cmple_epi32_mask(_mm512_sub_epi32(packet.end, allowed_from), zero);
  passes =
      _mm512_mask_cmpge_epi32_mask(passes, _mm512_sub_epi32(packet.seq, _mm512_sub_epi32(sent_from, to_window)), zero);
  passes = _mm512_mask_cmple_epu32_mask(
      passes, _mm512_sub_epi32(sent_to, packet.ack),
      _mm512_max_epu32(_mm512_add_epi32(from_window, from_window), all_lanes(kLateAckBytes)));

  const auto moved = static_cast<__mmask16>(passes & judged);
  const auto by_original = static_cast<__mmask16>(moved & original);
  const auto by_reply = static_cast<__mmask16>(moved & reply);
  const __m512i new_max = _mm512_max_epu32(from_max, packet.window);
  flow.state.word[3] = _mm512_mask_mov_epi32(flow.state.word[3], by_original,
                                             _mm512_or_si512(new_max, _mm512_slli_epi32(second_window, 16)));
  flow.state.word[3] = _mm512_mask_mov_epi32(flow.state.word[3], by_reply,
                                             _mm512_or_si512(first_window, _mm512_slli_epi32(new_max, 16)));
  const __mmask16 sent_more = _mm512_cmpgt_epi32_mask(_mm512_sub_epi32(packet.end, sent_from), zero);
  flow.limits.word[0] =
      _mm512_mask_mov_epi32(flow.limits.word[0], static_cast<__mmask16>(by_original & sent_more), packet.end);
  flow.limits.word[1] =
      _mm512_mask_mov_epi32(flow.limits.word[1], static_cast<__mmask16>(by_reply & sent_more), packet.end);
  const __m512i allowed = _mm512_add_epi32(packet.ack, _mm512_max_epu32(_mm512_sllv_epi32(packet.window, scale), one));
  const __mmask16 allows_more = _mm512_cmpgt_epi32_mask(_mm512_sub_epi32(allowed, allowed_to), zero);
  flow.limits.word[3] =
      _mm512_mask_mov_epi32(flow.limits.word[3], static_cast<__mmask16>(by_original & allows_more), allowed);
  flow.limits.word[2] =
      _mm512_mask_mov_epi32(flow.limits.word[2], static_cast<__mmask16>(by_reply & allows_more), allowed);
  return static_cast<__mmask16>(passes | ~judged);
}

/// Counts the packets of `tracked`, notes the time; says which counters have run over.
RINGPLANE_AVX512_INLINE EstablishedLanes count(FlowLanes& flow, const PacketLanes& packet, __mmask16 reply,
                                               __mmask16 tracked, Tick now) noexcept {
  const auto by_original = static_cast<__mmask16>(tracked & ~reply);
  const auto by_reply = static_cast<__mmask16>(tracked & reply);
  EstablishedLanes lanes{.tracked = tracked};
  flow.totals.word[0] = _mm512_mask_add_epi32(flow.totals.word[0], by_original, flow.totals.word[0], packet.length);
  flow.totals.word[1] = _mm512_mask_add_epi32(flow.totals.word[1], by_reply, flow.totals.word[1], packet.length);
  lanes.bytes_carry =
      static_cast<std::uint16_t>(_mm512_mask_cmplt_epu32_mask(by_original, flow.totals.word[0], packet.length) |
                                 _mm512_mask_cmplt_epu32_mask(by_reply, flow.totals.word[1], packet.length));
  const __m512i high_one = all_lanes(0x1'0000);
  flow.state.word[1] = _mm512_mask_add_epi32(flow.state.word[1], by_original, flow.state.word[1], high_one);
  const __m512i low_half = all_lanes(0xffff);
  const __m512i next = _mm512_add_epi32(flow.state.word[2], all_lanes(1));
  // The lower half of `next`, the upper half as it was.
  const __m512i counted = _mm512_ternarylogic_epi32(low_half, next, flow.state.word[2], 0xca);
  flow.state.word[2] = _mm512_mask_mov_epi32(flow.state.word[2], by_reply, counted);
  lanes.packets_carry =
      static_cast<std::uint16_t>(_mm512_mask_cmplt_epu32_mask(by_original, flow.state.word[1], high_one) |
                                 _mm512_mask_testn_epi32_mask(by_reply, flow.state.word[2], low_half));
  flow.totals.word[2] = _mm512_mask_mov_epi32(flow.totals.word[2], tracked, all_lanes(now));
  return lanes;
}

RINGPLANE_AVX512 EstablishedLanes step_avx512(const EstablishedBurst& burst, std::size_t first, std::uint16_t wanted,
                                              Flow* flows, Flow* spare, base::RulePathId* paths) noexcept {
  alignas(64) std::uint8_t* at[kLanes];
  const __m512i records = _mm512_load_si512(&burst.likely[first]);
  const __m512i nobody = _mm512_set1_epi64(static_cast<long long>(reinterpret_cast<std::uintptr_t>(spare)));
  const __m512i table = _mm512_set1_epi64(static_cast<long long>(reinterpret_cast<std::uintptr_t>(flows)));
  const __m512i low = _mm512_slli_epi64(_mm512_cvtepu32_epi64(_mm512_castsi512_si256(records)), 6);
  const __m512i high = _mm512_slli_epi64(_mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(records, 1)), 6);
  _mm512_store_si512(at, _mm512_mask_add_epi64(nobody, static_cast<__mmask8>(wanted), table, low));
  _mm512_store_si512(at + 8, _mm512_mask_add_epi64(nobody, static_cast<__mmask8>(wanted >> 8), table, high));
  FlowLanes flow{base::load_words(at, 0), base::load_words(at, 16), base::load_words(at, 32), base::load_words(at, 48)};
  const PacketLanes packet = load_packets(burst, first);
  const __mmask16 original_upper =
      _mm512_test_epi32_mask(flow.state.word[0], all_lanes(std::uint32_t{flow_flag::kOriginalUpper} << 16));
  const auto reply = static_cast<__mmask16>(original_upper ^ packet.from_upper);
  __mmask16 tracked = same(flow, packet, burst.generation);
  tracked &= static_cast<__mmask16>(wanted & (packet.ordinary | packet.udp));
  tracked &= move_windows(flow, packet, reply, static_cast<__mmask16>(tracked & packet.ordinary));
  const EstablishedLanes lanes = count(flow, packet, reply, tracked, burst.now);
  base::store_words(at, 16, flow.state);
  base::store_words(at, 32, flow.limits);
  base::store_words(at, 48, flow.totals);
  _mm512_storeu_si512(paths, flow.totals.word[3]);
  return lanes;
}

RINGPLANE_AVX512 std::uint16_t first_of_kind_avx512(const base::FlowId* sixteen) noexcept {
  const __m512i conflicts = _mm512_conflict_epi32(_mm512_loadu_si512(sixteen));
  return _mm512_testn_epi32_mask(conflicts, conflicts);
}

}  // namespace

#endif

EstablishedLanes EstablishedLanes::step(const EstablishedBurst& burst, std::size_t first, std::uint16_t wanted,
                                        Flow* flows, Flow* spare, base::RulePathId* paths) noexcept {
#ifdef __x86_64__
  return step_avx512(burst, first, wanted, flows, spare, paths);
#else
  static_cast<void>(burst), static_cast<void>(first), static_cast<void>(wanted), static_cast<void>(flows),
      static_cast<void>(spare), static_cast<void>(paths);
  return {};
#endif
}

std::uint16_t EstablishedLanes::first_of_kind(const base::FlowId* sixteen, base::VectorWidth width) noexcept {
#ifdef __x86_64__
  if (width == base::VectorWidth::kAvx512) return first_of_kind_avx512(sixteen);
#endif
  static_cast<void>(width);
  std::uint16_t first = 1;
  for (std::size_t i = 1; i < 16; ++i) {
    bool before = false;
    for (std::size_t j = 0; j < i; ++j) before |= sixteen[j] == sixteen[i];
    first |= static_cast<std::uint16_t>(unsigned{!before} << i);
  }
  return first;
}

}  // namespace ringplane::flow
