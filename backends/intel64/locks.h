// Locks of the whole process. A fork waits until all of them are free, so that they are free in the
// child. A thread that holds one takes no other and calls nothing of the runtime.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace catena::intel64 {

enum class Lock {
  kCalls,      // what is known about kinds of calls
  kFormats,    // formats of filters that have no number
  kReorders,   // reorders made before
  kOneDnn,     // making primitives: oneDNN's lock of its cache knows nothing of forks
  kPrimitives  // what primitives keep from run to run
};
// Objects behind one kind of lock, told apart by address, seldom wait for each other.
std::mutex& process_lock(Lock kind, const void* object = nullptr);

// As the plugin is loaded, also once more after a failure. Throws sdk::Error.
void hold_locks_over_forks();

// What was found out before, behind a lock. All is forgotten when it becomes too much. Never freed
// at exit: oneDNN's own statics, which a value may need, may be gone by then.
template <class Value>
class Known {
 public:
  using Key = std::vector<int64_t>;
  Known(Lock lock, size_t most) : lock_(lock), most_(most) {}

  // Value{} if it is not known.
  Value find(const Key& key) const {
    const std::lock_guard lock(process_lock(lock_));
    const auto at = all_.find(key);
    return at == all_.end() ? Value{} : at->second;
  }
  // What was added first for the key.
  Value add(Key key, Value value) {
    std::map<Key, Value> forgotten;  // freed when the lock is
    const std::lock_guard lock(process_lock(lock_));
    if (all_.size() >= most_) all_.swap(forgotten);
    return all_.try_emplace(std::move(key), std::move(value)).first->second;
  }

 private:
  const Lock lock_;
  const size_t most_;
  std::map<Key, Value> all_;
};

}  // namespace catena::intel64
