// PieceList: a list of which there are many versions that differ in little. A version is a row of pieces of arrays that
// never change and belong to all versions that show them; spliced() makes another version in time and memory that grow
// with the number of pieces, not of elements. An editor keeps a text so.
//
// A value: who copies it sees nothing of what is done to the copy. Several threads may read a version and make others
// of it; writable() and push_back() are for who fills a list that no other thread sees yet.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace ringplane::base {

template <class T>
class PieceList {
 public:
  /// Elements [first, first + count) of the storage stand in the list from position `begin` on; count > 0.
  struct Piece {
    std::shared_ptr<const std::vector<T>> storage;
    std::size_t first = 0;
    std::size_t count = 0;
    std::size_t begin = 0;
    [[nodiscard]] const T& at(std::size_t position) const noexcept { return (*storage)[first + (position - begin)]; }
  };

  class Iterator {
   public:
    // NOLINTBEGIN(readability-identifier-naming): the standard's
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;
    // NOLINTEND(readability-identifier-naming)

    Iterator() = default;
    Iterator(const Piece* piece, std::size_t position) noexcept : piece_(piece), position_(position) {}
    const T& operator*() const noexcept { return piece_->at(position_); }
    const T* operator->() const noexcept { return &piece_->at(position_); }
    Iterator& operator++() noexcept {
      if (++position_ == piece_->begin + piece_->count) ++piece_;
      return *this;
    }
    Iterator operator++(int) noexcept { return std::exchange(*this, std::next(*this)); }
    bool operator==(const Iterator& other) const noexcept { return position_ == other.position_; }

   private:
    const Piece* piece_ = nullptr;
    std::size_t position_ = 0;
  };
  // NOLINTBEGIN(readability-identifier-naming)
  using value_type = T;
  using const_iterator = Iterator;
  // NOLINTEND(readability-identifier-naming)

  PieceList() = default;
  explicit PieceList(std::vector<T> elements) { add(std::make_shared<std::vector<T>>(std::move(elements))); }

  [[nodiscard]] std::size_t size() const noexcept {
    return pieces_.empty() ? 0 : pieces_.back().begin + pieces_.back().count;
  }
  [[nodiscard]] bool empty() const noexcept { return pieces_.empty(); }
  /// position < size(). Costs the logarithm of the number of pieces.
  [[nodiscard]] const T& operator[](std::size_t position) const noexcept {
    return pieces_[piece_at(position)].at(position);
  }
  [[nodiscard]] const T& front() const noexcept { return (*this)[0]; }
  [[nodiscard]] const T& back() const noexcept { return (*this)[size() - 1]; }
  [[nodiscard]] Iterator begin() const noexcept { return {pieces_.data(), 0}; }
  [[nodiscard]] Iterator end() const noexcept { return {nullptr, size()}; }
  [[nodiscard]] std::span<const Piece> pieces() const noexcept { return pieces_; }

  /// The list with `elements` in place of [first, first + count), which lie within it.
  [[nodiscard]] PieceList spliced(std::size_t first, std::size_t count, std::vector<T> elements) const {
    PieceList list;
    list.pieces_.reserve(pieces_.size() + 2);
    list.add_range(*this, 0, first);
    list.add(std::make_shared<std::vector<T>>(std::move(elements)));
    list.add_range(*this, first + count, size());
    return list;
  }

  /// To be changed before others see it. What other versions show too is copied first.
  [[nodiscard]] T& writable(std::size_t position) {
    const std::size_t at = piece_at(position);
    return own(at)[pieces_[at].first + (position - pieces_[at].begin)];
  }
  void push_back(T element) {
    const std::size_t at = pieces_.size() - 1;
    const bool grows = !pieces_.empty() && pieces_[at].storage.use_count() == 1 &&
                       pieces_[at].first + pieces_[at].count == pieces_[at].storage->size();
    if (!grows) return add(std::make_shared<std::vector<T>>(1, std::move(element)));
    own(at).push_back(std::move(element));
    ++pieces_[at].count;
  }
  template <class... Arguments>
  void emplace_back(Arguments&&... arguments) {
    push_back(T(std::forward<Arguments>(arguments)...));
  }

 private:
  [[nodiscard]] std::size_t piece_at(std::size_t position) const noexcept {
    if (pieces_.size() == 1) return 0;
    const auto behind = std::ranges::upper_bound(pieces_, position, {}, &Piece::begin);
    return static_cast<std::size_t>(behind - pieces_.begin()) - 1;
  }
  void add(std::shared_ptr<std::vector<T>> storage) {
    const std::size_t count = storage->size();
    if (count != 0) pieces_.push_back({.storage = std::move(storage), .first = 0, .count = count, .begin = size()});
  }
  /// Positions [from, to) of another version.
  void add_range(const PieceList& other, std::size_t from, std::size_t to) {
    for (std::size_t at = from < to ? other.piece_at(from) : other.pieces_.size(); from < to; ++at) {
      const Piece& piece = other.pieces_[at];
      const std::size_t end = std::min(to, piece.begin + piece.count);
      pieces_.push_back({.storage = piece.storage,
                         .first = piece.first + (from - piece.begin),
                         .count = end - from,
                         .begin = size()});
      from = end;
    }
  }
  /// The storage of a piece, which from now on no other version shares. It was made as one that may be written to.
  std::vector<T>& own(std::size_t at) {
    Piece& piece = pieces_[at];
    if (piece.storage.use_count() != 1) {
      const auto from = piece.storage->begin() + static_cast<std::ptrdiff_t>(piece.first);
      piece.storage = std::make_shared<std::vector<T>>(from, from + static_cast<std::ptrdiff_t>(piece.count));
      piece.first = 0;
    }
    return const_cast<std::vector<T>&>(*piece.storage);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  }

  std::vector<Piece> pieces_;
};

}  // namespace ringplane::base
