#include "api/http_client.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <curl/curl.h>
#include <curl/easy.h>
#include <curl/system.h>

#include "base/result.h"

namespace ringplane::api {
namespace {

struct Easy {
  void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
};
struct Headers {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

}  // namespace

struct HttpClient::Words {
  const char* method = "GET";
  std::string path;
  std::string body{};
  std::string content_type{};
  const std::function<bool(std::string_view)>* take = nullptr;
  std::uint32_t seconds = 0;
};

base::Result<HttpClient::Reply> HttpClient::exchange(const Words& words) const {
  const std::unique_ptr<CURL, Easy> curl(curl_easy_init());
  if (!curl) return base::fail("out of memory for a request");
  struct Incoming {
    CURL* curl;
    const std::function<bool(std::string_view)>* take;
    Reply reply;
    bool ended_by_us = false;
  } incoming{.curl = curl.get(), .take = words.take, .reply = {}};
  const auto receive = +[](char* data, std::size_t size, std::size_t count, void* into) -> std::size_t {
    auto& at = *static_cast<Incoming*>(into);
    long code = 0;
    curl_easy_getinfo(at.curl, CURLINFO_RESPONSE_CODE, &code);
    if (at.take == nullptr || code != 200) {
      at.reply.body.append(data, size * count);
    } else if (!(*at.take)({data, size * count})) {
      at.ended_by_us = true;
      return 0;
    }
    return size * count;
  };
  std::array<char, CURL_ERROR_SIZE> why{};
  curl_easy_setopt(curl.get(), CURLOPT_UNIX_SOCKET_PATH, socket_path_.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_URL, ("http://ringplane" + words.path).c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROXY, "");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, why.data());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, receive);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &incoming);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, static_cast<long>(words.seconds));
  if (given_up_ != nullptr) {
    const auto ask = +[](void* given_up, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
      return static_cast<const std::atomic<bool>*>(given_up)->load(std::memory_order_relaxed) ? 1 : 0;
    };
    curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, ask);
    curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, const_cast<std::atomic<bool>*>(given_up_));
  }
  std::unique_ptr<curl_slist, Headers> headers;
  if (std::string_view(words.method) == "POST") {
    headers.reset(curl_slist_append(nullptr, ("Content-Type: " + words.content_type).c_str()));
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(words.body.size()));
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, words.body.data());
  }
  const CURLcode code = curl_easy_perform(curl.get());
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  incoming.reply.status = static_cast<int>(status);
  if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && incoming.ended_by_us)) return std::move(incoming.reply);
  if (code == CURLE_OPERATION_TIMEDOUT && words.take != nullptr && status != 0) return std::move(incoming.reply);
  if (code == CURLE_COULDNT_CONNECT) {
    return base::fail("no ringplane answers at " + socket_path_ +
                      ": start one with 'ringplane run', or name its socket with --socket");
  }
  return base::fail("ringplane at " + socket_path_ + " gave no answer (" +
                    (why[0] != '\0' ? why.data() : curl_easy_strerror(code)) + ")");
}

base::Result<HttpClient::Reply> HttpClient::get(const std::string& path) const {
  return exchange({.path = path, .seconds = patience_s_});
}

base::Result<HttpClient::Reply> HttpClient::post(const std::string& path, const std::string& body,
                                                 const std::string& content_type) const {
  return exchange({.method = "POST", .path = path, .body = body, .content_type = content_type, .seconds = patience_s_});
}

base::Result<HttpClient::Reply> HttpClient::follow(const std::string& path,
                                                   const std::function<bool(std::string_view)>& take,
                                                   std::uint32_t seconds) const {
  return exchange({.path = path, .take = &take, .seconds = seconds});
}

std::string encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    const auto byte = static_cast<unsigned char>(c);
    out += plain ? std::string(1, c) : std::string{'%', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return out;
}

}  // namespace ringplane::api
