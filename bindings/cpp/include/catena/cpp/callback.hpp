// Functions of the program as functions of the C interface: layers, losses, hooks, initializers.
#pragma once

#include <catena/cpp/variable.hpp>

#include <atomic>
#include <functional>
#include <type_traits>
#include <utility>

namespace catena::inline cpp::detail {

template <class F>
concept OfOne = std::invocable<F&, const Variable&>;
template <class F>
concept OfTwo = std::invocable<F&, const Variable&, const Variable&>;
template <class F>
concept OfMany = std::invocable < F&,
        const std::vector<Variable>
& > ;
template <class F>
concept Callable = OfOne<F> || OfTwo<F> || OfMany<F>;

// A counted function object with its face for the C interface. What it throws becomes a status and
// a text there.
class Callback {
 public:
  template <class F>
  explicit Callback(F&& f) : function_(adapted(std::decay_t<F>(std::forward<F>(f)))) {
    c_.user = this;
    c_.call = call;
    c_.drop = [](void* user) { static_cast<Callback*>(user)->release(); };
  }
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;

  const ctn_callback* c() const { return &c_; }
  void retain() { count_.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  using Function = std::function<Variable(const std::vector<Variable>&)>;
  ~Callback() = default;

  template <class F, class... In>
  static Variable result(F& f, const In&... in) {
    if constexpr (std::is_void_v<std::invoke_result_t<F&, const In&...>>) {
      f(in...);
      return {};
    } else {
      return f(in...);
    }
  }
  template <class F>
  static Function adapted(F f) {
    constexpr size_t kInputs = OfOne<F> ? 1 : OfTwo<F> ? 2 : 0;
    return [f = std::move(f)](const std::vector<Variable>& in) mutable {
      if (kInputs != 0 && in.size() != kInputs)
        throw InvalidArgument(CTN_EINVAL, "a function of " + std::to_string(kInputs) +
                                              " variables was called with " +
                                              std::to_string(in.size()));
      if constexpr (kInputs == 1)
        return result(f, in[0]);
      else if constexpr (kInputs == 2)
        return result(f, in[0], in[1]);
      else
        return result(f, in);
    };
  }
  static ctn_status CTN_CALL call(void* user, const ctn_variable* in, int32_t n_in,
                                  ctn_variable* out, int32_t n_out) noexcept {
    try {
      std::vector<Variable> given;
      given.reserve(static_cast<size_t>(n_in));
      for (int32_t k = 0; k < n_in; ++k) {
        if (in[k]) ctn_variable_retain(in[k]);
        given.emplace_back(in[k]);
      }
      const Variable y = static_cast<Callback*>(user)->function_(given);
      if (n_out > 1 || (n_out == 1 && !y))
        return ctn_error_set(CTN_EINVAL, str("a function of the program gave no result"));
      if (n_out == 1) {
        ctn_variable_retain(y.get());
        *out = y.get();
      }
      return CTN_OK;
    } catch (const Error& e) {
      return ctn_error_set(e.status(), str(e.what()));
    } catch (const std::bad_alloc& e) {
      return ctn_error_set(CTN_ENOMEM, str(e.what()));
    } catch (const std::exception& e) {
      return ctn_error_set(CTN_EINTERNAL, str(e.what()));
    } catch (...) {
      return ctn_error_set(CTN_EINTERNAL, str("a function of the program threw"));
    }
  }

  Function function_;
  ctn_callback c_{};
  std::atomic<int64_t> count_{1};
};

// One holder of a Callback on this side.
class CallbackRef {
 public:
  template <class F>
  requires Callable<F>
  explicit CallbackRef(F&& f) : callback_(new Callback(std::forward<F>(f))) {}
  CallbackRef(const CallbackRef&) = delete;
  CallbackRef& operator=(const CallbackRef&) = delete;
  ~CallbackRef() { callback_->release(); }

  const ctn_callback* c() const { return callback_->c(); }
  // A C function is about to take it.
  void hand_over() const { callback_->retain(); }

 private:
  Callback* callback_;
};

}  // namespace catena::inline cpp::detail
