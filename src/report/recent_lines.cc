#include "report/recent_lines.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace ringplane::report {

base::Result<RecentLines::Question> RecentLines::Question::parse(const nlohmann::json& asked) {
  try {
    return Question{.after = asked.value("after", std::uint64_t{0}),
                    .limit = asked.value("limit", kMost),
                    .search = asked.value("search", "")};
  } catch (const nlohmann::json::exception&) {
    return base::fail("this question about log lines makes no sense");
  }
}

void RecentLines::add(std::string line) {
  bytes_ += line.size();
  lines_.push_back(std::move(line));
  ++newest_;
  while (lines_.size() > kMost || bytes_ > kMostBytes) {
    bytes_ -= lines_.front().size();
    lines_.pop_front();
  }
}

nlohmann::ordered_json RecentLines::after(const Question& question) const {
  const std::uint64_t overwritten = newest_ - lines_.size();  // the number of the newest of these
  std::uint64_t last = std::max(question.after, overwritten);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  while (last < newest_ && list.size() < question.limit) {
    const std::string& line = lines_[static_cast<std::size_t>(last - overwritten)];
    ++last;
    if (line.find(question.search) != std::string::npos) list.push_back({{"number", last}, {"line", line}});
  }
  return {{"lines", std::move(list)},
          {"last", std::min(last, newest_)},
          {"overwritten", overwritten > question.after ? overwritten - question.after : 0}};
}

}  // namespace ringplane::report
