#include "wire/plain_headers.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/hash.h"
#include "base/sixteen_lanes.h"
#include "base/vector_target.h"
#include "base/vector_width.h"
#include "wire/bytes.h"
#include "wire/flow_key.h"
#include "wire/packet.h"
#include "wire/plain_ipv4.h"
#include "wire/tcp.h"

namespace ringplane::wire {
namespace {

constexpr std::uint8_t kJudgedFlags = tcp_flag::kSyn | tcp_flag::kFin | tcp_flag::kRst | tcp_flag::kAck;

void read_plainly(const FrameBytes& frames, std::size_t first, PlainHeaders& headers) noexcept {
  const std::size_t end = std::min<std::size_t>(frames.count, first + PlainHeaders::kGroup);
  for (std::size_t i = first; i < end; ++i) {
    Packet packet;
    const Bytes frame{frames.data[i], frames.length[i]};
    const auto domain = static_cast<std::uint8_t>(frames.zone[i] >> 24);
    if (!PlainIpv4::decode(frame, domain, packet)) continue;
    const std::uint64_t bit = std::uint64_t{1} << i;
    headers.plain |= bit;
    headers.from_upper |= packet.from_upper ? bit : 0;
    headers.addresses[i] = packet.key.packed_ipv4();
    headers.ports_and_zone[i] = packet.key.ports_and_zone();
    headers.ip_length[i] = packet.ip_length;
    if (packet.protocol == protocol::kUdp) {
      headers.udp |= bit;
      continue;
    }
    headers.ordinary |= (packet.tcp_flags & kJudgedFlags) == tcp_flag::kAck ? bit : 0;
    headers.seq[i] = packet.tcp_seq;
    headers.end[i] = packet.tcp_seq + packet.payload_length;
    headers.ack[i] = packet.tcp_ack;
    headers.window[i] = packet.tcp_window;
  }
}

#ifdef __x86_64__

using base::all_lanes;
using base::bytes_of;
using base::kLanes;
using base::Words;
static_assert(PlainHeaders::kGroup == kLanes && FrameBytes::kCapacity % kLanes == 0);

/// Stands in for frames that are too short to be plain, and for those that there are not: its EtherType is no IP.
constexpr std::uint8_t kNothing[64] = {};

RINGPLANE_AVX512_INLINE __m512i both_halves(__m512i words) noexcept {
  return _mm512_add_epi32(_mm512_and_si512(words, all_lanes(0xffff)), _mm512_srli_epi32(words, 16));
}

/// The IP header's sum over 16-bit words is all ones (RFC 1071; the order of bytes does not matter).
RINGPLANE_AVX512_INLINE __mmask16 have_checksum(const Words& front, const Words& middle) noexcept {
  __m512i sum = _mm512_srli_epi32(front.word[0], 16);  // behind the EtherType
  for (const __m512i words : {front.word[1], front.word[2], front.word[3], middle.word[0]}) {
    sum = _mm512_add_epi32(sum, both_halves(words));
  }
  sum = _mm512_add_epi32(sum, _mm512_and_si512(middle.word[1], all_lanes(0xffff)));
  return _mm512_cmpeq_epi32_mask(both_halves(both_halves(sum)), all_lanes(0xffff));
}

/// PlainIpv4::is_possible(); the addresses as they lie in the header.
RINGPLANE_AVX512_INLINE __mmask16 are_possible(__m512i source, __m512i destination) noexcept {
  const __m512i low = all_lanes(0xff);
  const __mmask16 multicast = _mm512_cmpeq_epi32_mask(_mm512_and_si512(source, all_lanes(0xf0)), all_lanes(0xe0));
  const __mmask16 from_loopback = _mm512_cmpeq_epi32_mask(_mm512_and_si512(source, low), all_lanes(127));
  const __mmask16 to_loopback = _mm512_cmpeq_epi32_mask(_mm512_and_si512(destination, low), all_lanes(127));
  const __mmask16 broadcast = _mm512_cmpeq_epi32_mask(source, all_lanes(0xffffffff));
  const __mmask16 to_itself = _mm512_cmpeq_epi32_mask(source, destination);
  return static_cast<__mmask16>(~(multicast | from_loopback | to_loopback | broadcast | to_itself));
}

RINGPLANE_AVX512_INLINE __m512i joined(__m256i upper, __m256i lower) noexcept {
  return _mm512_or_si512(_mm512_slli_epi64(_mm512_cvtepu32_epi64(upper), 32), _mm512_cvtepu32_epi64(lower));
}

/// Two 32-bit elements as one of 64 bits, sixteen times.
RINGPLANE_AVX512_INLINE void store_pairs(std::uint64_t* to, __m512i upper, __m512i lower) noexcept {
  _mm512_store_si512(to, joined(_mm512_castsi512_si256(upper), _mm512_castsi512_si256(lower)));
  _mm512_store_si512(to + 8, joined(_mm512_extracti64x4_epi64(upper, 1), _mm512_extracti64x4_epi64(lower, 1)));
}

/// Sixteen frames from `first` on. `at`: their bytes, at least 54 each.
RINGPLANE_AVX512_INLINE void read_sixteen(const FrameBytes& frames, const std::uint8_t* const* at, std::size_t first,
                                          PlainHeaders& headers) noexcept {
  const Words front = base::load_words(at, 12);   // EtherType to the upper half of the source address
  const Words middle = base::load_words(at, 28);  // the rest of the addresses, ports
  const Words back = base::load_words(at, 38);    // sequence numbers, data offset, flags, window
  const __m512i length = _mm512_load_si512(&frames.length[first]);

  const __m512i total = bytes_of(front.word[1], 0x80800001);
  const __m512i ethernet_and_total = _mm512_add_epi32(total, all_lanes(14));
  __mmask16 plain =
      _mm512_cmpeq_epi32_mask(_mm512_and_si512(front.word[0], all_lanes(0xff'ffff)), all_lanes(0x45'0008));
  plain = _mm512_mask_testn_epi32_mask(plain, front.word[2], all_lanes(0xff3f));
  plain = _mm512_mask_cmple_epu32_mask(plain, ethernet_and_total, length);
  plain &= have_checksum(front, middle);

  const __m512i source = _mm512_or_si512(_mm512_srli_epi32(front.word[3], 16), _mm512_slli_epi32(middle.word[0], 16));
  const __m512i destination =
      _mm512_or_si512(_mm512_srli_epi32(middle.word[0], 16), _mm512_slli_epi32(middle.word[1], 16));
  plain &= are_possible(source, destination);

  const __m512i protocol = _mm512_srli_epi32(front.word[2], 24);
  const __m512i header_bytes = _mm512_and_si512(_mm512_srli_epi32(back.word[2], 2), all_lanes(0x3c));
  const __m512i headers_end = _mm512_add_epi32(header_bytes, all_lanes(20));
  const __m512i flags = _mm512_and_si512(_mm512_srli_epi32(back.word[2], 8), all_lanes(0xff));
  __mmask16 tcp = _mm512_mask_cmpeq_epi32_mask(plain, protocol, all_lanes(protocol::kTcp));
  tcp = _mm512_mask_cmpge_epu32_mask(tcp, header_bytes, all_lanes(TcpHeader::kBytes));
  tcp = _mm512_mask_cmple_epu32_mask(tcp, headers_end, total);
  const __mmask16 no_syn = _mm512_testn_epi32_mask(flags, all_lanes(tcp_flag::kSyn));
  const __mmask16 segment = _mm512_mask_test_epi32_mask(no_syn, flags, all_lanes(tcp_flag::kAck | tcp_flag::kRst));
  const __mmask16 handshake =
      _mm512_cmpeq_epi32_mask(_mm512_and_si512(flags, all_lanes(0xff ^ tcp_flag::kAck)), all_lanes(tcp_flag::kSyn));
  tcp &= static_cast<__mmask16>(segment | handshake);

  const __m512i udp_bytes = bytes_of(back.word[0], 0x80800001);
  __mmask16 udp = _mm512_mask_cmpeq_epi32_mask(plain, protocol, all_lanes(protocol::kUdp));
  udp = _mm512_mask_cmpge_epu32_mask(udp, udp_bytes, all_lanes(8));
  udp = _mm512_mask_cmple_epu32_mask(udp, _mm512_add_epi32(udp_bytes, all_lanes(20)), total);

  const __mmask16 upper = _mm512_cmplt_epu32_mask(destination, source);
  const __m512i ports_as_sent = bytes_of(
      _mm512_or_si512(_mm512_srli_epi32(middle.word[1], 16), _mm512_slli_epi32(middle.word[2], 16)), 0x02030001);
  store_pairs(&headers.addresses[first], _mm512_min_epu32(source, destination), _mm512_max_epu32(source, destination));
  store_pairs(&headers.ports_and_zone[first], _mm512_load_si512(&frames.zone[first]),
              _mm512_mask_rol_epi32(ports_as_sent, upper, ports_as_sent, 16));
  const __m512i seq = bytes_of(back.word[0], 0x00010203);
  _mm512_store_si512(&headers.ip_length[first], total);
  _mm512_store_si512(&headers.seq[first], seq);
  _mm512_store_si512(&headers.end[first], _mm512_add_epi32(seq, _mm512_sub_epi32(total, headers_end)));
  _mm512_store_si512(&headers.ack[first], bytes_of(back.word[1], 0x00010203));
  _mm512_store_si512(&headers.window[first], bytes_of(back.word[2], 0x80800203));
  const __mmask16 ordinary =
      _mm512_mask_cmpeq_epi32_mask(tcp, _mm512_and_si512(flags, all_lanes(kJudgedFlags)), all_lanes(tcp_flag::kAck));
  headers.plain |= std::uint64_t{static_cast<std::uint16_t>(tcp | udp)} << first;
  headers.udp |= std::uint64_t{udp} << first;
  headers.ordinary |= std::uint64_t{ordinary} << first;
  headers.from_upper |= std::uint64_t{upper} << first;
}

RINGPLANE_AVX512 void read_avx512(const FrameBytes& frames, std::size_t first, PlainHeaders& headers) noexcept {
  const __m512i length = _mm512_load_si512(&frames.length[first]);
  const std::size_t left = frames.count - first;
  __mmask16 readable = left >= kLanes ? 0xffff : static_cast<__mmask16>((1U << left) - 1);
  readable = _mm512_mask_cmpge_epu32_mask(readable, length, all_lanes(PlainIpv4::kReadBytes));
  readable = _mm512_mask_cmple_epu32_mask(readable, length, all_lanes(PlainIpv4::kMaxBytes));
  alignas(64) const std::uint8_t* at[kLanes];
  const __m512i nothing = _mm512_set1_epi64(static_cast<long long>(reinterpret_cast<std::uintptr_t>(kNothing)));
  _mm512_store_si512(at, _mm512_mask_loadu_epi64(nothing, static_cast<__mmask8>(readable), &frames.data[first]));
  _mm512_store_si512(at + 8,
                     _mm512_mask_loadu_epi64(nothing, static_cast<__mmask8>(readable >> 8), &frames.data[first + 8]));
  read_sixteen(frames, at, first, headers);
}

#endif

}  // namespace

void PlainHeaders::hash_plain(std::size_t first, const base::HashSecret& secret, std::uint64_t* hashes) const noexcept {
  const std::uint64_t here = plain & (std::uint64_t{0xffff} << first);
  const auto hash_one = [&](std::size_t i) noexcept {
    const std::uint8_t protocol = (udp >> i & 1) != 0 ? protocol::kUdp : protocol::kTcp;
    hashes[i] = hash_ipv4(addresses[i], ports_and_zone[i], protocol, secret);
  };
  if (here == std::uint64_t{0xffff} << first) [[likely]] {
    for (std::size_t i = first; i < first + kGroup; ++i) hash_one(i);
    return;
  }
  for (std::uint64_t rest = here; rest != 0; rest &= rest - 1) {
    hash_one(static_cast<std::size_t>(std::countr_zero(rest)));
  }
}

void PlainHeaders::read(const FrameBytes& frames, std::size_t first, base::VectorWidth width) noexcept {
#ifdef __x86_64__
  if (width == base::VectorWidth::kAvx512) {
    read_avx512(frames, first, *this);
    return;
  }
#endif
  static_cast<void>(width);
  read_plainly(frames, first, *this);
}

}  // namespace ringplane::wire
