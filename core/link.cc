// Links: making and releasing them, their parts, calls. Copying, moving and what walks a whole tree
// is in link_tree.cc.
#include "core/link.h"

#include <algorithm>
#include <new>

#include "core/parameter.h"

namespace catena {
namespace {

std::string quoted_name(std::string_view name) { return "'" + std::string(name) + "'"; }

// Links whose count fell to zero while another was being freed on this thread: deep trees are
// released in a loop.
thread_local Link* t_dead = nullptr;
thread_local bool t_draining = false;

// The calls of links under way on this thread, innermost first.
class Frame {
 public:
  explicit Frame(const Link& link)
      : link_(link), caller_(t_top), depth_(caller_ ? caller_->depth_ + 1 : 1) {
    if (depth_ > kMostDepth)
      fail(CTN_EINVAL, std::string(link.class_name()) + ": calls of links are nested " +
                           std::to_string(kMostDepth) + " deep (" + path() +
                           "); does one call itself?");
    t_top = this;
  }
  ~Frame() { t_top = caller_; }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

 private:
  static constexpr int32_t kMostDepth = 1000;
  static constexpr int32_t kMostShown = 8;

  // Of the innermost links: "... > Chain > block > fc", with the name that the caller knows it by.
  std::string path() const {
    std::string text;
    const Frame* f = this;
    for (int32_t k = 0; f && k < kMostShown; ++k, f = f->caller_)
      text.insert(0, (f->caller_ ? " > " : "") + name(*f));
    return f ? "..." + text : text;
  }
  static std::string name(const Frame& f) {
    for (size_t i = 0; f.caller_ && i < f.caller_->link_.size(); ++i) {
      const LinkItem& item = f.caller_->link_.item(i);
      if (item.child.get() == &f.link_) return item.name;
    }
    return std::string(f.link_.class_name());
  }

  static constinit thread_local const Frame* t_top;
  const Link& link_;
  const Frame* caller_;
  int32_t depth_;
};
constinit thread_local const Frame* Frame::t_top = nullptr;

// Who is whose first parent. Taken where links are put together and fall apart, and for messages.
std::mutex& parent_mutex() {
  static auto* m = new std::mutex;
  return *m;
}

void check_outputs(std::span<ctn_variable> out, std::string_view who) {
  if (std::ranges::find(out, nullptr) == out.end()) return;
  for (ctn_variable& v : out)
    if (v) Ref<Variable>::take(static_cast<Variable*>(std::exchange(v, nullptr)));
  fail(CTN_EINTERNAL, std::string(who) + " left out an output");
}

}  // namespace

Link::Link(Context& ctx, const LinkEntry* entry, int32_t n_out)
    : ctx_(&ctx), entry_(entry), n_out_(n_out) {}

Link::~Link() {
  if (entry_ && entry_->def.drop && made_)
    ctx_->shielded(class_name(), [&] { entry_->def.drop(entry_->def.self, this); });
  for (LinkItem& item : items_) {
    if (!item.child) continue;
    item.child->parents_.fetch_sub(1, std::memory_order_relaxed);
    std::lock_guard lock(parent_mutex());
    if (item.child->parent_ == this) item.child->parent_ = nullptr;
  }
}

void Link::release() noexcept {
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  next_dead_ = std::exchange(t_dead, this);
  if (t_draining) return;
  t_draining = true;
  while (Link* dead = t_dead) {
    t_dead = dead->next_dead_;
    Context* ctx = dead->ctx_;
    dead->~Link();
    ctx->free_object(dead, sizeof(Link));
  }
  t_draining = false;
}

Ref<Link> Link::make(Context& ctx, const LinkEntry* entry, int32_t n_out) {
  void* block = ctx.alloc_object(sizeof(Link));
  return Ref<Link>::take(new (block) Link(ctx, entry, n_out));
}

Ref<Link> Link::construct(Context& ctx, const LinkEntry& entry, std::span<const ctn_value> bound) {
  Ref<Link> link = make(ctx, &entry, entry.def.n_out);
  link->attrs_ = Values(bound);
  link->made_ = true;
  if (entry.def.init)
    check_status(entry.def.init(entry.def.self, link.get(), link->attrs().data()), entry.name);
  return link;
}

Ref<Link> Link::create(Context& ctx, const LinkEntry& entry, std::span<const ctn_value> attrs) {
  std::vector<ctn_value> bound(entry.attrs.size());
  bind_attrs(entry.name, entry.attrs, attrs, bound.data());
  return construct(ctx, entry, bound);
}

Ref<Link> Link::create(Context& ctx, const LinkEntry& entry, std::span<const ctn_attr> attrs) {
  std::vector<ctn_value> bound(entry.attrs.size());
  bind_named(entry.name, entry.attrs, attrs, bound.data());
  return construct(ctx, entry, bound);
}

Ref<Link> Link::chain(Context& ctx, const ctn_value* callback, int32_t n_out) {
  if (n_out < 0) fail(CTN_EINVAL, "a chain cannot have " + std::to_string(n_out) + " outputs");
  Ref<Link> link = make(ctx, nullptr, n_out);
  if (callback) link->callback_ = Values({callback, 1});
  return link;
}

std::string Link::outputs_text(int32_t room) const {
  return std::string(class_name()) + " gives " + std::to_string(n_out_) + " outputs, room is for " +
         std::to_string(room);
}

std::string Link::place() const {
  constexpr int kMostShown = 64;
  std::string path;
  std::lock_guard lock(parent_mutex());  // no parent goes while its names are read
  const Link* link = this;
  for (int k = 0; k < kMostShown; ++k) {
    const Link* parent = link->parent_;
    if (!parent) break;
    const auto item = std::ranges::find_if(
        parent->items_, [&](const LinkItem& i) { return i.child.get() == link; });
    if (item == parent->items_.end()) break;
    path.insert(0, "/" + item->name);
    link = parent;
  }
  return std::string(class_name()) + (path.empty() ? "" : " " + quoted_name(path));
}

void Link::call(std::span<const ctn_variable> in, std::span<ctn_variable> out) {
  constexpr std::string_view kMark = "\n\nIn the link ";
  try {
    run(in, out);
  } catch (const Error& e) {
    if (std::string_view(e.what()).find(kMark) != std::string_view::npos) throw;
    fail(e.code(), e.what() + std::string(kMark) + place() + ".");
  }
}

void Link::run(std::span<const ctn_variable> in, std::span<ctn_variable> out) {
  const auto n_in = static_cast<int32_t>(in.size());
  const auto n_given = static_cast<int32_t>(out.size());
  std::ranges::fill(out, nullptr);
  const Frame frame(*this);
  if (n_given != n_out_) fail(CTN_EINVAL, outputs_text(n_given));
  if (!entry_) {
    if (callback_.size() == 0) fail(CTN_EINVAL, "this chain was made without a function to call");
    const ctn_callback& c = *callback_[0].u.callback;
    checked_call(class_name(),
                 [&] { return c.call(c.user, in.data(), n_in, out.data(), n_given); });
  } else {
    const ctn_link_def& def = entry_->def;
    if (def.n_in >= 0 && def.n_in != n_in)
      fail(CTN_EINVAL, std::string(class_name()) + " takes " + std::to_string(def.n_in) +
                           " inputs, got " + std::to_string(n_in));
    checked_call(class_name(),
                 [&] { return def.call(def.self, this, in.data(), n_in, out.data(), n_given); });
  }
  check_outputs(out, class_name());
}

void Link::set_attr(size_t index, const ctn_value& value) {
  if (index >= attrs_.size())
    fail(CTN_EINVAL, std::string(class_name()) + " has no attribute " + std::to_string(index));
  std::vector<ctn_value> given(attrs().begin(), attrs().end());
  given[index] = value;
  std::vector<ctn_value> bound(given.size());
  bind_attrs(entry_->name, entry_->attrs, given, bound.data());
  attrs_ = Values(bound);
}

Variable* Link::state(std::string_view name) const {
  const auto at = std::ranges::find(states_, name, &std::pair<std::string, Ref<Variable>>::first);
  return at == states_.end() ? nullptr : at->second.get();
}

void Link::set_state(std::string_view name, Variable* v) {
  if (v && v->ctx != ctx_) fail(CTN_EINVAL, "link and state belong to different contexts");
  const auto at = std::ranges::find(states_, name, &std::pair<std::string, Ref<Variable>>::first);
  if (at != states_.end()) {
    at->second = Ref<Variable>::share(v);
  } else if (v) {
    states_.emplace_back(std::string(name), Ref<Variable>::share(v));
  }
}

// ---- parts

LinkItem& Link::add(std::string_view name, const Context* ctx) {
  const std::string who(class_name());
  if (name.empty() || name.find('/') != std::string_view::npos)
    fail(CTN_EINVAL, who + ": " + quoted_name(name) + " cannot name a part of a link");
  if (index_.find(name) != index_.end())
    fail(CTN_EINVAL, who + ": there is a " + quoted_name(name) + " already");
  if (ctx != ctx_) fail(CTN_EINVAL, who + ": " + quoted_name(name) + " belongs to another context");
  std::string own(name);
  const auto at = index_.emplace(own, items_.size()).first;
  try {
    items_.emplace_back();
  } catch (...) {
    index_.erase(at);
    throw;
  }
  items_.back().name = std::move(own);
  return items_.back();
}

void Link::add_param(std::string_view name, Variable& p) {
  adopt_parameter(p);
  std::string own(name);
  add(name, p.ctx).param = Ref<Variable>::share(&p);
  if (p.extra->name.empty()) p.extra->name = std::move(own);
}

void Link::add_persistent(std::string_view name, Array& a) {
  add(name, &a.ctx()).persistent = Ref<Array>::share(&a);
}

void Link::set_persistent(std::string_view name, Array& a) {
  const auto at = index_.find(name);
  if (at == index_.end() || !items_[at->second].persistent)
    fail(CTN_ENOTFOUND,
         std::string(class_name()) + " has no persistent value " + quoted_name(name));
  if (&a.ctx() != ctx_) fail(CTN_EINVAL, quoted_name(name) + " belongs to another context");
  items_[at->second].persistent = Ref<Array>::share(&a);
}

void Link::add_child(std::string_view name, Link& child) {
  // Nothing can lie above a link without parents.
  bool cycle = &child == this;
  if (!cycle && parents_.load(std::memory_order_relaxed) > 0) {
    LinkWalk walk(child);
    while (const LinkItem* item = walk.next()) cycle = cycle || item->child.get() == this;
  }
  if (cycle)
    fail(CTN_EINVAL, std::string(class_name()) + ": child " + quoted_name(name) +
                         " would contain the link it is added to");
  add(name, child.ctx_).child = Ref<Link>::share(&child);
  child.parents_.fetch_add(1, std::memory_order_relaxed);
  std::lock_guard lock(parent_mutex());
  if (!child.parent_) child.parent_ = this;
}

const LinkItem& Link::at(std::string_view path) const {
  if (path.starts_with('/')) path.remove_prefix(1);
  const Link* link = this;
  std::string_view rest = path;
  while (true) {
    const size_t slash = rest.find('/');
    const auto found = link->index_.find(rest.substr(0, slash));
    if (found == link->index_.end())
      fail(CTN_ENOTFOUND, std::string(link->class_name()) + " has no " +
                              quoted_name(rest.substr(0, slash)) + " (in path " +
                              quoted_name(path) + ")");
    const LinkItem& item = link->items_[found->second];
    if (slash == std::string_view::npos) return item;
    if (!item.child)
      fail(CTN_ENOTFOUND,
           quoted_name(item.name) + " is no link (in path " + quoted_name(path) + ")");
    link = item.child.get();
    rest.remove_prefix(slash + 1);
  }
}

}  // namespace catena
