// FragmentStore: the payload of fragments, in a fixed number of blocks.
//
// All memory is taken at construction; nothing here allocates afterwards. One
// thread at a time.

#ifndef ENCAP_FRAGMENT_STORE_H_
#define ENCAP_FRAGMENT_STORE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace encap {

class FragmentStore {
 public:
  // Names a fragment that is stored.
  using Index = uint32_t;
  static constexpr Index kNil = 0xffffffff;
  static constexpr size_t kBlockLen = 2048;

  explicit FragmentStore(size_t blocks);

  // Blocks that a fragment of `len` bytes takes.
  static constexpr size_t BlocksFor(size_t len) noexcept {
    return (len + kDataLen - 1) / kDataLen;
  }
  size_t free_blocks() const noexcept { return free_blocks_; }

  // Copies `data`, which is not empty and for which there are blocks.
  Index Put(uint32_t offset, std::span<const uint8_t> data) noexcept;
  void Free(Index fragment) noexcept;

  uint32_t offset(Index fragment) const noexcept {
    return blocks_[fragment].offset;
  }
  uint32_t len(Index fragment) const noexcept { return blocks_[fragment].len; }
  // The fragment behind this one in the list of its packet; the owner's to set.
  Index& next(Index fragment) noexcept {
    return blocks_[fragment].next_fragment;
  }
  Index next(Index fragment) const noexcept {
    return blocks_[fragment].next_fragment;
  }

  bool Equals(Index fragment, uint32_t offset,
              std::span<const uint8_t> data) const noexcept;
  // Writes the bytes of `fragment` and returns what is behind them.
  uint8_t* CopyTo(Index fragment, uint8_t* to) const noexcept;

 private:
  static constexpr size_t kDataLen = kBlockLen - 16;
  struct Block {
    Index next_block = kNil;  // of the same fragment, or the free list
    // Of a fragment's first block only.
    Index next_fragment = kNil;
    uint32_t offset = 0;
    uint32_t len = 0;
    uint8_t data[kDataLen];
  };
  static_assert(sizeof(Block) == kBlockLen);

  std::vector<Block> blocks_;
  Index free_ = kNil;
  size_t free_blocks_;
};

}  // namespace encap

#endif  // ENCAP_FRAGMENT_STORE_H_
