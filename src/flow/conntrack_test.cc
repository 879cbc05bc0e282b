// Each test is a trace: who sends, flags, seq, ack, length, window; what becomes of it; what is believed afterwards.
// '>' is the side that began, '<' the other. Flags as tcpdump prints them: S F R P, '.' for ACK.
#include "flow/conntrack.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/drop_reason.h"
#include "flow/flow.h"
#include "flow/test_packets.h"
#include "flow/timeouts.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::flow {
namespace {

using base::DropReason;
using wire::Direction;

constexpr std::uint8_t kNone = wire::Packet::kNoWindowScale;
constexpr DropReason kPassed = DropReason::none;

struct Line {
  char side;
  std::string_view flags;
  std::uint32_t seq;
  std::uint32_t ack;
  std::uint16_t length;
  std::uint16_t window;
  DropReason reason;
  std::string_view states;
  std::uint8_t scale = kNone;
  bool restart = false;
};

std::uint8_t flags_of(std::string_view text) {
  std::uint8_t flags = 0;
  for (const char c : text) {
    switch (c) {
      case 'S': flags |= wire::tcp_flag::kSyn; break;
      case 'F': flags |= wire::tcp_flag::kFin; break;
      case 'R': flags |= wire::tcp_flag::kRst; break;
      case 'P': flags |= wire::tcp_flag::kPsh; break;
      case '.': flags |= wire::tcp_flag::kAck; break;
      default: ADD_FAILURE() << "no flag " << c;
    }
  }
  return flags;
}

wire::Packet segment_of(const Line& line) {
  wire::Packet packet = packet_of(1, wire::Family::kIpv4, wire::protocol::kTcp, line.side == '<');
  packet.tcp_flags = flags_of(line.flags);
  packet.tcp_seq = line.seq;
  packet.tcp_ack = line.ack;
  packet.payload_length = line.length;
  packet.tcp_window = line.window;
  packet.tcp_window_scale = line.scale;
  return packet;
}

/// Plays the trace on `flow`; a flow that is not live is started by the first line.
void play(Flow& flow, std::initializer_list<Line> trace) {
  std::size_t number = 0;
  for (const Line& line : trace) {
    ++number;
    const wire::Packet packet = segment_of(line);
    SCOPED_TRACE("line " + std::to_string(number) + ": " + line.side + " " + std::string(line.flags) + " seq " +
                 std::to_string(line.seq) + " ack " + std::to_string(line.ack));
    StepResult result;
    if (!flow.has(flow_flag::kLive)) {
      flow.flags = flow_flag::kLive;
      flow.protocol = wire::protocol::kTcp;
      ASSERT_TRUE(can_start_flow(packet));
      start(flow, packet);
    } else {
      result = step(flow, packet);
    }
    EXPECT_EQ(base::name_of(result.reason), base::name_of(line.reason));
    EXPECT_EQ(result.restart, line.restart);
    EXPECT_EQ(states_of(flow), line.states);
  }
}

/// Client's next number is 1001, server's 5001; windows 1000 and 2000, no scaling.
Flow established() {
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "S.", 5000, 1001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT"},
                 {'>', ".", 1001, 5001, 0, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
             });
  return flow;
}

TEST(Conntrack, PassesAConversationThatTheServerCloses) {
  Flow flow = established();
  play(flow, {
                 {'>', "P.", 1001, 5001, 100, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 5001, 1101, 1000, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', "F.", 6001, 1101, 0, 2000, DropReason::tcp_out_of_window, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 1101, 6001, 0, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', "F.", 6001, 1101, 0, 2000, kPassed, "ESTABLISHED:CLOSING"},
                 {'>', ".", 1101, 6002, 0, 1000, kPassed, "ESTABLISHED:FIN_WAIT_2"},
                 {'>', "F.", 1101, 6002, 0, 1000, kPassed, "CLOSING:FIN_WAIT_2"},
                 {'<', ".", 6002, 1102, 0, 2000, kPassed, "FIN_WAIT_2:FIN_WAIT_2"},
             });
  EXPECT_TRUE(is_over(flow));
}

TEST(Conntrack, CountsTheFinAgainstTheWindowOnlyWhenTheReceiverHasRoom) {
  Flow flow = established();
  play(flow, {
                 {'<', "F.", 5001, 1001, 999, 2000, kPassed, "ESTABLISHED:CLOSING"},
                 {'>', ".", 1001, 6001, 0, 1000, kPassed, "ESTABLISHED:FIN_WAIT_2"},
             });
}

TEST(Conntrack, PassesAHalfClosedConnectionForAsLongAsTheOtherSideSends) {
  Flow flow = established();
  play(flow, {
                 {'>', "F.", 1001, 5001, 0, 1000, kPassed, "CLOSING:ESTABLISHED"},
                 {'<', ".", 5001, 1002, 500, 2000, kPassed, "FIN_WAIT_2:ESTABLISHED"},
                 {'>', ".", 1002, 5501, 0, 1000, kPassed, "FIN_WAIT_2:ESTABLISHED"},
                 {'<', ".", 5501, 1002, 1000, 2000, kPassed, "FIN_WAIT_2:ESTABLISHED"},
                 {'>', ".", 1002, 6501, 0, 1000, kPassed, "FIN_WAIT_2:ESTABLISHED"},
             });
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kTcpClosing);
  EXPECT_FALSE(is_over(flow));
  EXPECT_FALSE(is_half_open(flow));
}

TEST(Conntrack, PassesASimultaneousClose) {
  Flow flow = established();
  play(flow, {
                 {'>', "F.", 1001, 5001, 0, 1000, kPassed, "CLOSING:ESTABLISHED"},
                 {'<', "F.", 5001, 1001, 0, 2000, kPassed, "CLOSING:CLOSING"},
             });
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kTcpFinWait);
  play(flow, {
                 {'>', ".", 1002, 5002, 0, 1000, kPassed, "CLOSING:FIN_WAIT_2"},
                 {'<', ".", 5002, 1002, 0, 2000, kPassed, "FIN_WAIT_2:FIN_WAIT_2"},
                 {'<', ".", 5002, 1002, 0, 2000, kPassed, "FIN_WAIT_2:FIN_WAIT_2"},
             });
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kTcpClosed);
}

TEST(Conntrack, AForgedFinDoesNotStopTheSideItWasForgedFor) {
  Flow flow = established();
  play(flow, {
                 {'>', "F.", 1501, 5001, 0, 1000, kPassed, "CLOSING:ESTABLISHED"},
                 {'<', ".", 5001, 1001, 0, 2000, kPassed, "CLOSING:ESTABLISHED"},
                 {'>', ".", 1001, 5001, 1000, 1000, kPassed, "CLOSING:ESTABLISHED"},
                 {'<', ".", 5001, 2001, 10, 2000, kPassed, "FIN_WAIT_2:ESTABLISHED"},
                 {'>', ".", 2001, 5011, 100, 1000, kPassed, "FIN_WAIT_2:ESTABLISHED"},
             });
  EXPECT_FALSE(is_over(flow));
}

TEST(Conntrack, PassesASimultaneousOpen) {  // RFC 9293 figure 7
  Flow flow;
  play(flow, {
                 {'>', "S", 100, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "S", 300, 0, 0, 1000, kPassed, "SYN_SENT:SYN_SENT"},
                 {'<', "S.", 300, 101, 0, 1000, kPassed, "ESTABLISHED:SYN_SENT"},
                 {'>', "S.", 100, 301, 0, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 101, 301, 1000, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 301, 1101, 1000, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, PassesRetransmissionsOfTheHandshake) {
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "S.", 5000, 1001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT"},
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "ESTABLISHED:SYN_SENT"},
                 {'<', "S.", 5000, 1001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT"},
                 {'>', ".", 1001, 5001, 0, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', "S.", 5000, 1001, 0, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, TheNewestSynCountsWhileNobodyHasAnswered) {
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'>', "S", 9000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "S.", 5000, 1001, 0, 2000, DropReason::tcp_out_of_window, "SYN_SENT:CLOSED"},
                 {'<', "S.", 5000, 9001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT"},
             });
}

TEST(Conntrack, AServerMayAnswerWithANewNumberUntilTheClientHasTakenOne) {  // SYN cookies change with time
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "S.", 5000, 1001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT"},
                 {'<', "S.", 7000, 1001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT"},
                 {'>', ".", 1001, 5001, 0, 1000, DropReason::tcp_out_of_window, "ESTABLISHED:SYN_SENT"},
                 {'>', ".", 1001, 7001, 0, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', "S.", 8000, 1001, 0, 2000, DropReason::tcp_bad_syn, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, DropsAnAnswerThatAcknowledgesWhatWasNotSent) {
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "S.", 5000, 1000, 0, 2000, DropReason::tcp_out_of_window, "SYN_SENT:CLOSED"},
                 {'<', "S.", 5000, 1002, 0, 2000, DropReason::tcp_out_of_window, "SYN_SENT:CLOSED"},
                 {'>', ".", 1001, 5001, 0, 1000, DropReason::tcp_bad_state, "SYN_SENT:CLOSED"},
                 {'>', "S.", 1000, 5001, 0, 1000, DropReason::tcp_bad_state, "SYN_SENT:CLOSED"},
             });
}

TEST(Conntrack, PassesDataOnTheSyn) {  // TCP Fast Open, RFC 7413
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 100, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "S.", 5000, 1101, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT"},
                 {'<', ".", 5001, 1101, 500, 2000, kPassed, "ESTABLISHED:SYN_SENT"},
                 {'<', ".", 5501, 1101, 501, 2000, DropReason::tcp_out_of_window, "ESTABLISHED:SYN_SENT"},
                 {'>', ".", 1101, 5501, 0, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, PassesDataOnTheSynThatTheServerDoesNotTake) {
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 100, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "S.", 5000, 1001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT"},
                 {'>', ".", 1001, 5001, 100, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, DropsDataBeyondTheReceiversWindow) {
  Flow flow = established();
  play(flow, {
                 {'>', ".", 1001, 5001, 2000, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 3001, 5001, 1, 1000, DropReason::tcp_out_of_window, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 5001, 2001, 0, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 3001, 5001, 1000, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, PassesRetransmissionsWithinOneWindowAndDropsOlder) {
  Flow flow = established();
  play(flow, {
                 {'>', ".", 1001, 5001, 2000, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 5001, 3001, 0, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 3001, 5001, 2000, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 3001, 5001, 500, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 3000, 5001, 500, 1000, DropReason::tcp_out_of_window, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, DropsAnAcknowledgmentOfWhatWasNotSent) {  // RFC 5961 5
  Flow flow = established();
  play(flow, {
                 {'<', ".", 5001, 1001, 100, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 1001, 5102, 0, 1000, DropReason::tcp_out_of_window, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 1001, 5101, 0, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, DropsAnAcknowledgmentFromTheDistantPast) {  // RFC 5961 5
  Flow flow = established();
  play(flow, {
                 {'>', ".", 1001, 5001U - 65'000U, 0, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 1001, 5001U - 67'000U, 0, 1000, DropReason::tcp_out_of_window, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, TakesWindowsByTheirScaleOnceBothOffered) {  // RFC 7323 2
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED", 7},
                 {'<', "S.", 5000, 1001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT", 2},
                 // The window of a SYN is never scaled: 2000 bytes.
                 {'>', ".", 1001, 5001, 2001, 10, DropReason::tcp_out_of_window, "ESTABLISHED:SYN_SENT"},
                 {'>', ".", 1001, 5001, 2000, 10, kPassed, "ESTABLISHED:ESTABLISHED"},
                 // 10 << 7 = 1280 bytes for the server, 500 << 2 = 2000 for the client.
                 {'<', ".", 5001, 3001, 1280, 500, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 6281, 3001, 1, 500, DropReason::tcp_out_of_window, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 3001, 6281, 2000, 10, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 5001, 6281, 1, 10, DropReason::tcp_out_of_window, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, TakesWindowsUnscaledIfOneSideDidNotOffer) {  // RFC 7323 2.2
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED", 7},
                 {'<', "S.", 5000, 1001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT", kNone},
                 {'>', ".", 1001, 5001, 0, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 5001, 1001, 1001, 2000, DropReason::tcp_out_of_window, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 5001, 1001, 1000, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, TakesAScaleAbove14For14) {  // RFC 7323 2.3
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED", 15},
                 {'<', "S.", 5000, 1001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT", 0},
                 {'>', ".", 1001, 5001, 0, 1, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 5001, 1001, 16'384, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 21'385, 1001, 1, 2000, DropReason::tcp_out_of_window, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, FollowsNumbersAcrossTheWrap) {  // RFC 9293 3.4
  Flow flow;
  play(flow, {
                 {'>', "S", 0xffff'ffff, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "S.", 0xffff'fff0, 0, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT"},
                 {'>', ".", 0, 0xffff'fff1, 500, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 0xffff'fff1, 500, 1000, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 985, 500, 1, 2000, DropReason::tcp_out_of_window, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 500, 985, 0, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', "F.", 985, 500, 100, 2000, kPassed, "ESTABLISHED:CLOSING"},
                 {'>', ".", 500, 1086, 0, 1000, kPassed, "ESTABLISHED:FIN_WAIT_2"},
             });
}

TEST(Conntrack, PassesKeepAlivesAndTheirAnswers) {  // RFC 9293 3.8.4
  Flow flow = established();
  play(flow, {
                 {'>', ".", 1000, 5001, 0, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 5001, 1001, 0, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 5000, 1001, 1, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, PassesProbesOfAClosedWindow) {  // RFC 9293 3.8.6.1
  Flow flow = established();
  play(flow, {
                 {'>', ".", 1001, 5001, 2000, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 5001, 3001, 0, 0, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 3001, 5001, 1, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 3001, 5001, 2, 1000, DropReason::tcp_out_of_window, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 5001, 3001, 0, 0, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 5001, 3001, 0, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 3001, 5001, 2000, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, DropsASegmentWithoutAcknowledgment) {  // RFC 9293 3.10.7.4
  Flow flow = established();
  play(flow, {
                 {'>', "P", 1001, 0, 10, 1000, DropReason::tcp_bad_state, "ESTABLISHED:ESTABLISHED"},
                 {'>', "F", 1001, 0, 0, 1000, DropReason::tcp_bad_state, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, AResetAtTheNextNumberCloses) {  // RFC 5961 3.2
  Flow flow = established();
  play(flow, {{'<', "R", 5001, 0, 0, 0, kPassed, "TIME_WAIT:TIME_WAIT"}});
  EXPECT_TRUE(is_over(flow));
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kTcpClosed);
}

TEST(Conntrack, AResetBeyondAllThatWasSentIsDropped) {  // RFC 5961 3.2
  Flow flow = established();
  play(flow, {
                 {'<', "R", 5002, 0, 0, 0, DropReason::tcp_bad_rst, "ESTABLISHED:ESTABLISHED"},
                 {'<', "R", 5500, 0, 0, 0, DropReason::tcp_bad_rst, "ESTABLISHED:ESTABLISHED"},
                 {'<', "R", 99'000, 0, 0, 0, DropReason::tcp_bad_rst, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, AResetInTheWindowIsLeftToTheEndpointAndOneBelowItIsDropped) {  // RFC 5961 3.2
  Flow flow = established();
  play(flow, {
                 {'<', ".", 5001, 1001, 800, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', "R", 5001, 0, 0, 0, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', "R", 4800, 0, 0, 0, DropReason::tcp_bad_rst, "ESTABLISHED:ESTABLISHED"},
                 {'<', "R.", 5801, 1001, 0, 0, kPassed, "TIME_WAIT:TIME_WAIT"},
             });
}

TEST(Conntrack, AResetThatRefusesASynMustAcknowledgeIt) {  // RFC 9293 3.10.7.3
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "R", 0, 0, 0, 0, DropReason::tcp_bad_rst, "SYN_SENT:CLOSED"},
                 {'<', "R.", 0, 1002, 0, 0, DropReason::tcp_bad_rst, "SYN_SENT:CLOSED"},
                 {'<', "R.", 0, 1001, 0, 0, kPassed, "TIME_WAIT:TIME_WAIT"},
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "TIME_WAIT:TIME_WAIT", kNone, true},
             });
}

TEST(Conntrack, AClientMayRefuseTheAnswerToItsSyn) {
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "S.", 5000, 1001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT"},
                 {'>', "R", 1001, 0, 0, 0, kPassed, "TIME_WAIT:TIME_WAIT"},
             });
}

TEST(Conntrack, AClientThatForgotAConnectionCanResetItAtTheServer) {  // RFC 9293 3.5.1, figure 9
  Flow flow;
  play(flow, {
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', ".", 70'000, 40'000, 0, 2000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "P.", 70'000, 40'000, 9, 2000, DropReason::tcp_bad_state, "SYN_SENT:CLOSED"},
                 {'>', "R", 40'000, 0, 0, 0, kPassed, "SYN_SENT:CLOSED"},
                 {'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"},
                 {'<', "S.", 5000, 1001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT"},
             });
}

TEST(Conntrack, ASynInTheWindowOfAnEstablishedFlowIsDropped) {  // RFC 5961 4
  Flow flow = established();
  play(flow, {
                 {'>', "S", 1001, 0, 0, 1000, DropReason::tcp_bad_syn, "ESTABLISHED:ESTABLISHED"},
                 {'>', "S", 1500, 0, 0, 1000, DropReason::tcp_bad_syn, "ESTABLISHED:ESTABLISHED"},
                 {'<', "S", 5001, 0, 0, 1000, DropReason::tcp_bad_syn, "ESTABLISHED:ESTABLISHED"},
                 {'<', "S.", 5001, 1001, 0, 1000, DropReason::tcp_bad_syn, "ESTABLISHED:ESTABLISHED"},
                 {'<', "S.", 90'000, 1001, 0, 1000, DropReason::tcp_bad_syn, "ESTABLISHED:ESTABLISHED"},
             });
}

TEST(Conntrack, ASynOutsideTheWindowMakesTheServerAnswerSoThatARebootedClientRecovers) {  // RFC 5961 4, RFC 9293 3.5.1
  Flow flow = established();
  play(flow, {
                 {'>', "S", 800'000, 0, 0, 1000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', ".", 5001, 1001, 0, 2000, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', "R", 1001, 0, 0, 0, kPassed, "TIME_WAIT:TIME_WAIT"},
                 {'>', "S", 800'000, 0, 0, 1000, kPassed, "TIME_WAIT:TIME_WAIT", kNone, true},
                 {'<', "S", 700'000, 0, 0, 1000, kPassed, "TIME_WAIT:TIME_WAIT", kNone, true},
             });
}

TEST(Conntrack, ASynOnAClosedFlowRestartsItAndASynAckDoesNot) {  // RFC 9293 3.6.1, RFC 6191
  Flow flow = established();
  play(flow, {
                 {'>', "F.", 1001, 5001, 0, 1000, kPassed, "CLOSING:ESTABLISHED"},
                 {'<', "F.", 5001, 1002, 0, 2000, kPassed, "FIN_WAIT_2:CLOSING"},
                 {'>', "S", 400'000, 0, 0, 1000, kPassed, "FIN_WAIT_2:CLOSING"},
                 {'>', ".", 1002, 5002, 0, 1000, kPassed, "FIN_WAIT_2:FIN_WAIT_2"},
                 {'<', "S.", 400'000, 1002, 0, 1000, DropReason::tcp_bad_syn, "FIN_WAIT_2:FIN_WAIT_2"},
                 {'>', "S", 400'000, 0, 0, 1000, kPassed, "FIN_WAIT_2:FIN_WAIT_2", kNone, true},
             });
}

TEST(Conntrack, LearnsBothWindowsOfAConversationPickedUpInTheMiddle) {
  Flow flow;
  play(flow, {
                 {'>', ".", 1000, 50'000, 100, 500, kPassed, "ESTABLISHED:CLOSED"},
                 // Sent long before: the other side has not spoken, so this one may be anywhere.
                 {'>', ".", 900'000, 50'000, 100, 500, kPassed, "ESTABLISHED:CLOSED"},
                 {'<', ".", 60'000, 900'100, 100, 10, kPassed, "ESTABLISHED:ESTABLISHED"},
                 // 10 << 14 = 163840 bytes from 900100 on.
                 {'>', ".", 900'100, 60'100, 1000, 500, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'>', ".", 1'063'940, 60'100, 1, 500, DropReason::tcp_out_of_window, "ESTABLISHED:ESTABLISHED"},
                 // Acknowledges what the server sent before we looked.
                 {'>', ".", 901'100, 61'000, 0, 500, kPassed, "ESTABLISHED:ESTABLISHED"},
                 {'<', "R", 61'000, 0, 0, 0, kPassed, "TIME_WAIT:TIME_WAIT"},
             });
  EXPECT_TRUE(flow.has(flow_flag::kPickedUp));
}

TEST(Conntrack, NamesTheTimeoutOfEachStateAsPfDoes) {
  Flow flow;
  flow.flags = flow_flag::kFirstPacket;
  flow.protocol = wire::protocol::kTcp;
  start(flow, segment_of({'>', "S", 1000, 0, 0, 1000, kPassed, ""}));
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kTcpFirst);
  EXPECT_TRUE(is_half_open(flow));
  flow.flags = flow_flag::kLive;
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kTcpOpening);
  play(flow, {{'<', "S.", 5000, 1001, 0, 2000, kPassed, "ESTABLISHED:SYN_SENT"}});
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kTcpOpening);
  EXPECT_TRUE(is_half_open(flow));
  play(flow, {{'>', ".", 1001, 5001, 0, 2000, kPassed, "ESTABLISHED:ESTABLISHED"}});
  EXPECT_EQ(timeout_class(flow), TimeoutClass::kTcpEstablished);
  EXPECT_FALSE(is_half_open(flow));
}

/// An error about a segment that the side `quoted` sent; it travels towards that side.
wire::Packet icmp_error(char quoted, std::uint32_t seq) {
  wire::Packet packet = packet_of(1, wire::Family::kIpv4, wire::protocol::kTcp, quoted == '>');
  packet.kind = wire::PacketKind::kIcmpError;
  packet.protocol = wire::protocol::kIcmp;
  packet.icmp_type = 3;
  packet.icmp_code = 4;
  packet.tcp_seq = seq;
  return packet;
}

TEST(Conntrack, AnIcmpErrorMustQuoteASegmentThatMayBeInFlight) {  // RFC 5927 4.1
  Flow flow = established();
  play(flow, {{'>', ".", 1001, 5001, 1500, 1000, kPassed, "ESTABLISHED:ESTABLISHED"}});
  EXPECT_EQ(step(flow, icmp_error('>', 1001)).reason, kPassed);
  EXPECT_EQ(step(flow, icmp_error('>', 2501)).reason, kPassed);
  EXPECT_EQ(step(flow, icmp_error('>', 2502)).reason, DropReason::icmp_mismatch);
  EXPECT_EQ(step(flow, icmp_error('>', 500)).reason, DropReason::icmp_mismatch);
  EXPECT_EQ(step(flow, icmp_error('<', 5001)).reason, kPassed);
  EXPECT_EQ(step(flow, icmp_error('<', 1001)).reason, DropReason::icmp_mismatch);
  EXPECT_EQ(states_of(flow), "ESTABLISHED:ESTABLISHED");
}

TEST(Conntrack, AnIcmpErrorMayRefuseTheSynAndNothingElse) {
  Flow flow;
  play(flow, {{'>', "S", 1000, 0, 0, 1000, kPassed, "SYN_SENT:CLOSED"}});
  EXPECT_EQ(step(flow, icmp_error('>', 1000)).reason, kPassed);
  EXPECT_EQ(step(flow, icmp_error('>', 999)).reason, DropReason::icmp_mismatch);
  EXPECT_EQ(step(flow, icmp_error('<', 5000)).reason, DropReason::icmp_mismatch);
}

TEST(Conntrack, ResetsErrorsAndFragmentsMakeNoFlow) {
  EXPECT_FALSE(can_start_flow(segment_of({'>', "R", 1000, 0, 0, 1000, kPassed, ""})));
  EXPECT_TRUE(can_start_flow(segment_of({'>', ".", 1000, 0, 0, 1000, kPassed, ""})));
  EXPECT_FALSE(can_start_flow(icmp_error('>', 0)));
  wire::Packet fragment = packet_of(1, wire::Family::kIpv4, wire::protocol::kUdp);
  EXPECT_TRUE(can_start_flow(fragment));
  fragment.kind = wire::PacketKind::kFragment;
  EXPECT_FALSE(can_start_flow(fragment));
}

}  // namespace
}  // namespace ringplane::flow
