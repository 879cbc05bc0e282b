// Channel: how the control process and the data process talk: a unix stream socket with whole messages, each a kind, a
// body and descriptors by name. Both ends are ours, so a message that makes no sense ends the conversation. One thread
// at each end; calls block for at most the patience that was set.
#pragma once

#include <cstdint>
#include <string>

#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/result.h"

namespace ringplane::control {

/// What a message asks or says. The control process asks; the data process answers each with kDone or kFailed.
enum class MessageKind : std::uint32_t {
  kStart,      ///< a StartOrder, with all holdings: get ready, but touch nothing that another may be using
  kGo,         ///< the other is dead: take over; the answer is what was found (JSON). With holdings as for kOutlets
  kRules,      ///< with a holding "rules" (rule_files.h): go over to them; others are as with kKeep
  kAsk,        ///< a line as for `ringplane show`; the answer is JSON
  kTapped,     ///< with the number of a tap (taps.h): what it has seen since, in its own form
  kLeave,      ///< end between two bursts and leave everything as it is, for another to take over
  kStop,       ///< end, all frames home; the answer is how many are missing
  kSurrender,  ///< give a new control process all you hold; the answer is the StartOrder
  kOutlets,    ///< with holdings "log" or "ipfix" (outlets.h): write into them from now on
  kTable,      ///< a question about tables, or a change of one (table_desk.h); the answer is JSON
  kKeep,       ///< holdings about the rules (rulebook.h): keep them for who surrenders them later
  kDone,
  kFailed,  ///< body: an error kind as a digit, then the sentence
};

struct Message {
  MessageKind kind = MessageKind::kDone;
  std::string body;
  base::Holdings holdings;
};

class Channel {
 public:
  Channel() noexcept = default;
  explicit Channel(base::FileDescriptor socket) noexcept : socket_(std::move(socket)) {}

  /// Connects to whoever listens at `path`. `patience_ms` bounds each send and receive.
  [[nodiscard]] static base::Result<Channel> connect(const std::string& path, int patience_ms);

  [[nodiscard]] bool is_open() const noexcept { return socket_.valid(); }
  /// Readable when a message or the end waits.
  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  void set_patience(int milliseconds) noexcept;
  void close() noexcept { socket_ = base::FileDescriptor(); }

  /// Descriptors are duplicated on the way: `message` keeps its own.
  [[nodiscard]] base::Result<void> send(const Message& message);
  [[nodiscard]] base::Result<Message> receive();
  /// receive(), with an answer of kFailed as an error.
  [[nodiscard]] base::Result<Message> receive_answer();
  /// Sends and waits for the answer.
  [[nodiscard]] base::Result<Message> call(const Message& message);

 private:
  base::FileDescriptor socket_;
};

/// An answer that says why not.
[[nodiscard]] Message failed(const base::Error& error);

}  // namespace ringplane::control
