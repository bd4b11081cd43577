#include "encap/fragment_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace encap {

FragmentStore::FragmentStore(size_t blocks)
    : blocks_(blocks), free_blocks_(blocks) {
  for (Index i = 0; i < blocks; ++i) {
    blocks_[i].next_block = std::exchange(free_, i);
  }
}

FragmentStore::Index FragmentStore::Put(
    uint32_t offset, std::span<const uint8_t> data) noexcept {
  const Index first = free_;
  blocks_[first].next_fragment = kNil;
  blocks_[first].offset = offset;
  blocks_[first].len = static_cast<uint32_t>(data.size());
  Index last = first;
  while (!data.empty()) {
    last = free_;
    Block& block = blocks_[last];
    const size_t n = std::min(kDataLen, data.size());
    std::memcpy(block.data, data.data(), n);
    data = data.subspan(n);
    free_ = block.next_block;
    --free_blocks_;
  }
  blocks_[last].next_block = kNil;
  return first;
}

void FragmentStore::Free(Index fragment) noexcept {
  for (Index i = fragment; i != kNil;) {
    const Index next = std::exchange(blocks_[i].next_block, free_);
    free_ = i;
    ++free_blocks_;
    i = next;
  }
}

bool FragmentStore::Equals(Index fragment, uint32_t offset,
                           std::span<const uint8_t> data) const noexcept {
  const Block* block = &blocks_[fragment];
  if (block->offset != offset || block->len != data.size()) return false;
  while (true) {
    const size_t n = std::min(kDataLen, data.size());
    if (std::memcmp(block->data, data.data(), n) != 0) return false;
    data = data.subspan(n);
    if (data.empty()) return true;
    block = &blocks_[block->next_block];
  }
}

uint8_t* FragmentStore::CopyTo(Index fragment, uint8_t* to) const noexcept {
  size_t left = blocks_[fragment].len;
  for (Index i = fragment; i != kNil; i = blocks_[i].next_block) {
    const size_t n = std::min(kDataLen, left);
    std::memcpy(to, blocks_[i].data, n);
    to += n;
    left -= n;
  }
  return to;
}

}  // namespace encap
