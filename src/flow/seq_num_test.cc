#include "flow/seq_num.h"

#include <gtest/gtest.h>

namespace ringplane::flow {
namespace {

TEST(SeqNum, OrdersNumbersAcrossTheWrap) {
  EXPECT_LT(SeqNum(0xffff'fff0), SeqNum(0x10));
  EXPECT_GT(SeqNum(0x10), SeqNum(0xffff'fff0));
  EXPECT_LE(SeqNum(7), SeqNum(7));
  EXPECT_EQ(SeqNum(0x10) - SeqNum(0xffff'fff0), 0x20);
  EXPECT_EQ(SeqNum(0xffff'ffff) + 2, SeqNum(1));
}

}  // namespace
}  // namespace ringplane::flow
