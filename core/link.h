// Links: trees of named parameters, persistent values and child links. What a class does (making
// its parts, calling, copying, moving) is reached through its table alone; knows no class by name.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/value.h"
#include "core/variable.h"

struct ctn_link_s {};

namespace catena {

class Link;

// What a link holds under one name: exactly one of the three.
struct LinkItem {
  std::string name;
  Ref<Variable> param;
  Ref<Array> persistent;
  Ref<Link> child;
};

enum class CopyMode : int32_t {
  kShare = CTN_COPY_SHARE,
  kCopy = CTN_COPY_COPY,
  kInit = CTN_COPY_INIT
};

class Link : public ctn_link_s {
 public:
  // Binds attrs to the class's schema and lets it make its parts.
  static Ref<Link> create(Context& ctx, const LinkEntry& entry, std::span<const ctn_value> attrs);
  static Ref<Link> create(Context& ctx, const LinkEntry& entry, std::span<const ctn_attr> attrs);
  // A link without class. `callback` (a value of that kind) may be NULL: then it cannot be called.
  static Ref<Link> chain(Context& ctx, const ctn_value* callback, int32_t n_out);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void retain() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;

  Context& ctx() const { return *ctx_; }
  std::string_view class_name() const { return entry_ ? std::string_view(entry_->name) : "Chain"; }
  int32_t n_out() const { return n_out_; }
  // A failure's text ends with the place of the innermost link.
  void call(std::span<const ctn_variable> in, std::span<ctn_variable> out);
  // Says that `room` is not n_out().
  std::string outputs_text(int32_t room) const;

  std::span<const ctn_value> attrs() const { return attrs_.get(); }
  void set_attr(size_t index, const ctn_value& value);
  Variable* state(std::string_view name) const;
  void set_state(std::string_view name, Variable* v);

  // In order of addition. Indexes stay valid, references do not when something is added.
  size_t size() const { return items_.size(); }
  const LinkItem& item(size_t i) const { return items_[i]; }
  void add_param(std::string_view name, Variable& p);
  void add_persistent(std::string_view name, Array& a);
  void set_persistent(std::string_view name, Array& a);
  void add_child(std::string_view name, Link& child);
  // "l1/W", relative; throws CTN_ENOTFOUND naming the part that is missing.
  const LinkItem& at(std::string_view path) const;

  Ref<Link> copy(CopyMode mode);
  void copy_params(Link& from);
  void clear_grads();
  void to_device(Device& device);
  // before saving, after loading: lets every class of the tree know
  void notify_serialized(bool loading);

 private:
  Link(Context& ctx, const LinkEntry* entry, int32_t n_out);
  ~Link();
  static Ref<Link> make(Context& ctx, const LinkEntry* entry, int32_t n_out);
  static Ref<Link> construct(Context& ctx, const LinkEntry& entry,
                             std::span<const ctn_value> bound);
  LinkItem& add(std::string_view name, const Context* ctx);
  void run(std::span<const ctn_variable> in, std::span<ctn_variable> out);
  // "Linear '/block/fc'" by the names that parents have for it; "Linear" without one.
  std::string place() const;
  Ref<Link> copy_own(CopyMode mode, std::map<Variable*, Ref<Variable>>& params);

  std::atomic<int64_t> refs_{1};
  std::atomic<int64_t> parents_{0};  // links that hold this one
  Link* parent_ = nullptr;           // the first of them that is there, for messages; guarded
  Context* ctx_;
  const LinkEntry* entry_;  // NULL for a chain
  int32_t n_out_;
  bool made_ = false;  // its class knows it: drop will be called
  Link* next_dead_ = nullptr;
  Values attrs_;
  Values callback_;  // of a chain: one value
  std::vector<LinkItem> items_;
  std::map<std::string, size_t, std::less<>> index_;
  std::vector<std::pair<std::string, Ref<Variable>>> states_;
};

inline Link* to_link(ctn_link l) {
  if (!l) fail_argument("link is NULL");
  return static_cast<Link*>(l);
}

// Walks a link and its descendants: each link's parameters and persistent values in order of
// addition, then each child followed by what is below it. Not recursive. A link may grow while it
// is walked.
class LinkWalk {
 public:
  explicit LinkWalk(Link& root) { stack_.push_back({Ref<Link>::share(&root), 0, 0, 0}); }
  // The next item, or NULL at the end; valid until the next call.
  const LinkItem* next();
  std::string_view path() const { return path_; }  // "/l1/W"
  Link& owner() const { return *owner_; }          // the link that holds the item

 private:
  struct Frame {
    Ref<Link> link;
    size_t next;       // item to look at
    int32_t pass;      // 0: parameters and persistent values, 1: children
    size_t path_size;  // of the link's own path
  };
  Link* owner_ = nullptr;
  std::vector<Frame> stack_;
  Ref<Link> entering_;  // child returned last
  std::string path_;
  LinkItem current_;
};

}  // namespace catena
