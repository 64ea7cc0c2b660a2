// memoize: a function that is asked once for each list of arguments, and if wanted once for each
// device, as chainer.backends.cuda.memoize has it. What arguments are is the program's affair: they
// are compared by < and copied.
#pragma once

#include <catena/cpp/context.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <type_traits>
#include <vector>

namespace catena::inline cpp {

namespace detail {

// Every table of results there is, to be emptied by clear_memo().
struct MemoTables {
  std::mutex mutex;
  std::vector<std::weak_ptr<std::function<void()>>> clear;

  static MemoTables& all() {
    static auto* const tables = new MemoTables;
    return *tables;
  }
};

}  // namespace detail

template <class Result, class... Args>
class Memoized {
 public:
  Memoized(std::function<Result(Args...)> f, bool for_each_device)
      : f_(std::move(f)), for_each_device_(for_each_device), table_(std::make_shared<Table>()) {
    clear_ = std::make_shared<std::function<void()>>([table = table_] {
      const std::lock_guard lock(table->mutex);
      table->results.clear();
    });
    detail::MemoTables& all = detail::MemoTables::all();
    const std::lock_guard lock(all.mutex);
    std::erase_if(all.clear, [](const auto& c) { return c.expired(); });
    all.clear.push_back(clear_);
  }

  // Threads that ask for the same at the same time may all compute it; the first result stays.
  Result operator()(Args... args) const {
    const Key key{device(), args...};
    {
      const std::lock_guard lock(table_->mutex);
      const auto found = table_->results.find(key);
      if (found != table_->results.end()) return found->second;
    }
    Result made = f_(std::move(args)...);
    const std::lock_guard lock(table_->mutex);
    return table_->results.emplace(key, std::move(made)).first->second;
  }

 private:
  using Place = std::tuple<int32_t, int32_t>;  // type and number of the current context's device
  using Key = std::tuple<Place, std::decay_t<Args>...>;
  struct Table {
    std::mutex mutex;
    std::map<Key, Result> results;
  };

  Place device() const {
    if (!for_each_device_) return {-1, -1};
    ctn_device d{};
    check(ctn_context_device(Context::current(), &d, nullptr));
    return {d.type, d.id};
  }

  std::function<Result(Args...)> f_;
  bool for_each_device_;
  std::shared_ptr<Table> table_;
  std::shared_ptr<std::function<void()>> clear_;
};

// const auto plan = memoize<int(int64_t)>([](int64_t n) { ... }, true);
template <class Signature>
struct memoize;
template <class Result, class... Args>
struct memoize<Result(Args...)> : Memoized<Result, Args...> {
  explicit memoize(std::function<Result(Args...)> f, bool for_each_device = false)
      : Memoized<Result, Args...>(std::move(f), for_each_device) {}
};

// Forgets the results of all memoized functions.
inline void clear_memo() {
  detail::MemoTables& all = detail::MemoTables::all();
  const std::lock_guard lock(all.mutex);
  for (const auto& clear : all.clear)
    if (const auto table = clear.lock()) (*table)();
}

}  // namespace catena::inline cpp
