// Router: which function answers which request: by method, and by a path whose parts may be {names}. Says itself what
// is wrong with a request that nobody answers.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "api/message.h"

namespace ringplane::api {

class Router {
 public:
  using Answer = std::function<Response(const Request&)>;
  /// Reads; may be asked by everybody who comes in.
  void get(std::string path, Answer answer) { add("GET", std::move(path), std::move(answer), false); }
  /// Changes something; refused with 403 where Request::may_write is false.
  void post(std::string path, Answer answer) { add("POST", std::move(path), std::move(answer), true); }
  /// Asks something that does not fit into a query: as get().
  void ask(std::string path, Answer answer) { add("POST", std::move(path), std::move(answer), false); }

  [[nodiscard]] Response answer(Request request) const;
  [[nodiscard]] std::vector<std::string> names() const;  ///< "GET /v1/ports", in the order they were added

 private:
  struct Route {
    std::string method;
    std::string path;
    Answer answer;
    bool writes;
  };
  void add(std::string method, std::string path, Answer answer, bool writes) {
    routes_.push_back({std::move(method), std::move(path), std::move(answer), writes});
  }
  std::vector<Route> routes_;
};

}  // namespace ringplane::api
