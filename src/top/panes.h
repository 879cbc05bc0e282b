// The five panes as tables: their columns, and their rows out of a model. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "top/rates.h"
#include "top/text.h"

namespace ringplane::top {

enum class Pane : std::uint8_t { kPorts, kFlows, kRules, kDrops, kWorkers };
inline constexpr std::size_t kPaneCount = 5;
inline constexpr std::array<std::string_view, kPaneCount> kPaneNames = {"Ports", "Flows", "Rules", "Drops", "Workers"};

struct Column {
  std::string_view title;
  std::size_t least;  ///< columns of the screen
  std::size_t most;
  Side side = Side::kLeft;
  /// Where there is no room for all, the highest goes first; 0 stays.
  unsigned goes = 0;
  /// Flows and rules: the API's order that has the largest of this column first. Without one nothing is sorted by it.
  std::string_view order{};
};

struct Cell {
  std::string text;
  std::optional<double> value{};  ///< of a number, by which it is sorted
};
using Row = std::vector<Cell>;

/// Sort::column: in the order in which the daemon lists them.
inline constexpr std::size_t kAsListed = SIZE_MAX;

struct Sort {
  std::size_t column = kAsListed;
  bool reverse = false;  ///< else numbers have the largest first, texts the first of the alphabet
};

[[nodiscard]] std::span<const Column> columns_of(Pane pane);
/// What it can be sorted by, in the order of the keys s and S; the first is the one to begin with.
[[nodiscard]] std::vector<std::size_t> sorts_of(Pane pane);
/// As the parameter `sort` of the API.
[[nodiscard]] std::string_view order_of(Pane pane, std::size_t column);

/// The rows that hold `search`, which flows and rules have from the daemon already, in order.
[[nodiscard]] std::vector<Row> rows_of(Pane pane, const Model& model, const Sort& sort, std::string_view search);

}  // namespace ringplane::top
