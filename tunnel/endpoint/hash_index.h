// HashIndex: a chained hash map that readers search without a lock.
//
// Readers: any worker inside a ReadSection. Find() takes no lock; each link it
// follows is one seq_cst load, which is a plain load on x86 [T1]. Writers: one
// at a time (a ConfigSection). Insert() publishes a complete node with one
// store; Erase() unlinks it with one store [T1]. Lifetime: a Value* from Find()
// is good until the ReadSection ends; for the writer until Reclaim() after
// Erase(). A value never moves, also when the index grows. Reclaim() frees what
// was erased; a grace period must lie between the two.
//
//   may run beside      Find   Insert   Erase   Reclaim
//   Find                yes    yes      yes     after a grace period
//   Insert, Erase       yes    X        X       X
//   (X: the caller must serialise)
//
// Growing: each node has two next links. The new bucket array chains the nodes
// by the link that the old one does not use, so that readers of either array
// walk whole chains. The spare links are free again after the next Reclaim().

#ifndef TUNNEL_ENDPOINT_HASH_INDEX_H_
#define TUNNEL_ENDPOINT_HASH_INDEX_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"

namespace tunnel {

template <typename Key, typename Value>
class HashIndex {
 public:
  HashIndex() : buckets_(new Buckets(kMinBuckets, 0)) {}
  ~HashIndex() {
    Buckets* buckets =
        buckets_.load(std::memory_order_relaxed);  // alone by now
    ForEachNode(*buckets, [](Node* node) { delete node; });
    delete buckets;
    Reclaim();
  }
  HashIndex(const HashIndex&) = delete;
  HashIndex& operator=(const HashIndex&) = delete;

  // The value of `key`, or nullptr.
  Value* Find(const Key& key) const noexcept {
    const size_t hash = absl::Hash<Key>{}(key);
    // Pairs with the stores in Insert(), Erase() and Grow() [T1]. seq_cst, not
    // acquire alone, since the grace period rests on one order of these loads,
    // the unlinking store and the section counters [Q1].
    const Buckets* buckets = buckets_.load(std::memory_order_seq_cst);
    const Node* node = buckets->At(hash).load(std::memory_order_seq_cst);
    while (node != nullptr) {
      if (node->hash == hash && node->key == key)
        return const_cast<Value*>(&node->value);
      node = node->next[buckets->link].load(std::memory_order_seq_cst);
    }
    return nullptr;
  }

  // Adds `key` with a Value made of `args`. nullptr, and no change, when the
  // key is there already: this is the uniqueness check.
  template <typename... Args>
  Value* Insert(const Key& key, Args&&... args) {
    if (Find(key) != nullptr) return nullptr;
    if (spare_links_free_ &&
        size_ >= buckets_.load(std::memory_order_relaxed)->count)
      Grow();
    Buckets* buckets = buckets_.load(std::memory_order_relaxed);  // own writes
    Node* node =
        new Node(key, absl::Hash<Key>{}(key), std::forward<Args>(args)...);
    std::atomic<Node*>& head = buckets->At(node->hash);
    node->next[buckets->link].store(head.load(std::memory_order_relaxed),
                                    std::memory_order_relaxed);
    head.store(node,
               std::memory_order_seq_cst);  // complete node first: Find() [T1]
    ++size_;
    return &node->value;
  }

  // Unlinks `key`; false when it is not there.
  bool Erase(const Key& key) {
    const size_t hash = absl::Hash<Key>{}(key);
    Buckets* buckets = buckets_.load(std::memory_order_relaxed);  // own writes
    std::atomic<Node*>* link = &buckets->At(hash);
    while (Node* node = link->load(std::memory_order_relaxed)) {
      if (node->hash == hash && node->key == key) {
        // Readers on the node walk on by its own link, which stays [T1].
        link->store(node->next[buckets->link].load(std::memory_order_relaxed),
                    std::memory_order_seq_cst);
        retired_nodes_.push_back(node);
        --size_;
        return true;
      }
      link = &node->next[buckets->link];
    }
    return false;
  }

  // Frees what was unlinked. A grace period must have passed since.
  void Reclaim() {
    for (Node* node : retired_nodes_) delete node;
    retired_nodes_.clear();
    retired_buckets_.clear();
    spare_links_free_ = true;
  }

  // True when Reclaim() has something to free.
  bool HasRetired() const {
    return !retired_nodes_.empty() || !retired_buckets_.empty();
  }

  // Entries; for the writer.
  size_t size() const { return size_; }

 private:
  static constexpr size_t kMinBuckets = 64;  // a power of two

  struct Node {
    template <typename... Args>
    Node(const Key& k, size_t h, Args&&... args)
        : key(k), hash(h), value{std::forward<Args>(args)...} {}
    const Key key;
    const size_t hash;
    Value value;
    std::atomic<Node*> next[2] = {nullptr, nullptr};
  };

  struct Buckets {
    Buckets(size_t n, int which)
        : count(n),
          link(which),
          heads(std::make_unique<std::atomic<Node*>[]>(n)) {}
    std::atomic<Node*>& At(size_t hash) const {
      return heads[hash & (count - 1)];
    }
    const size_t count;
    const int link;  // which of Node::next chains the nodes of this array
    const std::unique_ptr<std::atomic<Node*>[]> heads;
  };

  template <typename F>
  static void ForEachNode(const Buckets& buckets, F f) {
    for (size_t i = 0; i < buckets.count; ++i) {
      Node* node = buckets.heads[i].load(std::memory_order_relaxed);
      while (node != nullptr) {
        Node* next = node->next[buckets.link].load(std::memory_order_relaxed);
        f(node);
        node = next;
      }
    }
  }

  void Grow() {
    Buckets* old = buckets_.load(std::memory_order_relaxed);  // own writes
    auto bigger = std::make_unique<Buckets>(old->count * 2, 1 - old->link);
    ForEachNode(*old, [&](Node* node) {
      std::atomic<Node*>& head = bigger->At(node->hash);
      node->next[bigger->link].store(head.load(std::memory_order_relaxed),
                                     std::memory_order_relaxed);
      head.store(node, std::memory_order_relaxed);
    });
    buckets_.store(bigger.release(),
                   std::memory_order_seq_cst);  // chains first: Find() [T1]
    retired_buckets_.emplace_back(old);
    spare_links_free_ = false;
  }

  std::atomic<Buckets*> buckets_;
  // The writer's own.
  size_t size_ = 0;
  bool spare_links_free_ = true;
  std::vector<Node*> retired_nodes_;
  std::vector<std::unique_ptr<Buckets>> retired_buckets_;
};

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_HASH_INDEX_H_
