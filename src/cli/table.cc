#include "cli/table.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace ringplane::cli {
namespace {

std::string cell_text(const nlohmann::ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "-" : value.dump();
}

}  // namespace

std::string table_of(const nlohmann::ordered_json& list) {
  if (list.empty()) return "";
  std::vector<std::vector<std::string>> rows(1);
  std::vector<bool> is_number;
  for (const auto& [key, value] : list[0].items()) {
    rows[0].push_back(key);
    is_number.push_back(value.is_number());
  }
  for (const auto& object : list) {
    std::vector<std::string> row;
    for (const std::string& key : rows[0]) row.push_back(cell_text(object.at(key)));
    rows.push_back(std::move(row));
  }
  std::vector<std::size_t> width(rows[0].size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(width[i] - row[i].size(), ' ');
      line += is_number[i] ? padding + row[i] : row[i] + padding;
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace ringplane::cli
