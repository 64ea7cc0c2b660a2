// What concerns a link together with all links below it: walking, copying, moving, gradients. None
// of it recurses, so that the depth of a tree is bounded by memory alone.
#include <map>

#include "core/intrinsic.h"
#include "core/link.h"
#include "core/parameter.h"

namespace catena {

const LinkItem* LinkWalk::next() {
  if (entering_) {
    stack_.push_back({std::exchange(entering_, nullptr), 0, 0, path_.size()});
  }
  while (!stack_.empty()) {
    Frame& f = stack_.back();
    path_.resize(f.path_size);
    while (f.next < f.link->size()) {
      const LinkItem& item = f.link->item(f.next++);
      if ((item.child ? 1 : 0) != f.pass) continue;
      current_ = item;
      owner_ = f.link.get();
      path_ += '/';
      path_ += item.name;
      entering_ = item.child;
      return &current_;
    }
    if (f.pass == 0) {
      f.pass = 1;
      f.next = 0;
    } else {
      stack_.pop_back();
    }
  }
  return nullptr;
}

namespace {

// Every distinct link of a tree, root first.
std::vector<Link*> all_links(Link& root) {
  std::vector<Link*> links = {&root};
  std::map<Link*, bool> seen = {{&root, true}};
  for (size_t k = 0; k < links.size(); ++k)
    for (size_t i = 0; i < links[k]->size(); ++i)
      if (Link* child = links[k]->item(i).child.get(); child && !std::exchange(seen[child], true))
        links.push_back(child);
  return links;
}

Ref<Array> copied_array(Array& a, CopyMode mode) {
  return mode == CopyMode::kShare ? Ref<Array>::share(&a) : copy_array(a, a.dtype);
}

Ref<Variable> copied_param(const Variable& p, CopyMode mode) {
  Ref<Variable> copy = clone_parameter(p);
  if (!p.data) return copy;
  copy->set_array(mode == CopyMode::kInit ? *initial_array(p, p.shape())
                                          : *copied_array(*p.data, mode));
  return copy;
}

}  // namespace

// This link alone, its children still missing.
Ref<Link> Link::copy_own(CopyMode mode, std::map<Variable*, Ref<Variable>>& params) {
  Ref<Link> copy = make(*ctx_, entry_, n_out_);
  copy->attrs_ = Values(attrs_.get());
  copy->callback_ = Values(callback_.get());
  for (const LinkItem& item : items_) {
    LinkItem& own = copy->add(item.name, ctx_);
    if (item.param) {
      Ref<Variable>& copied = params[item.param.get()];  // one parameter may have several names
      if (!copied) copied = copied_param(*item.param, mode);
      own.param = copied;
    }
    if (item.persistent) own.persistent = copied_array(*item.persistent, mode);
  }
  return copy;
}

Ref<Link> Link::copy(CopyMode mode) {
  const std::vector<Link*> links = all_links(*this);
  std::map<const Link*, Ref<Link>> copies;
  std::map<Variable*, Ref<Variable>> params;
  for (Link* link : links) copies[link] = link->copy_own(mode, params);
  for (Link* link : links) {
    Link& copy = *copies[link];
    for (size_t i = 0; i < link->size(); ++i) {
      Link* child = link->items_[i].child.get();
      if (!child) continue;
      copy.items_[i].child = copies[child];
      copies[child]->parents_.fetch_add(1, std::memory_order_relaxed);
      copy.attrs_.replace_link(child, copies[child].get());
    }
  }
  // Inner links first, as their own constructors would.
  for (auto at = links.rbegin(); at != links.rend(); ++at) {
    Link& copy = *copies[*at];
    copy.made_ = true;
    if (copy.entry_ && copy.entry_->def.copied)
      check_status(copy.entry_->def.copied(copy.entry_->def.self, *at, &copy), copy.class_name());
  }
  return copies[this];
}

void Link::copy_params(Link& from) {
  if (from.ctx_ != ctx_) fail(CTN_EINVAL, "links belong to different contexts");
  std::vector<std::pair<Ref<Variable>, Ref<Array>>> staged;
  LinkWalk walk(*this);
  while (const LinkItem* item = walk.next()) {
    if (!item->param) continue;
    const Ref<Variable> other = from.at(walk.path()).param;
    const std::string where(walk.path());
    if (!other) fail(CTN_ENOTFOUND, where + " is no parameter in the source");
    // As Variable.copydata: whichever is uninitialised takes the other's shape.
    if (!other->data && !item->param->data) continue;
    if (!other->data) initialize_parameter(*other, item->param->shape());
    staged.emplace_back(item->param, stage_array(*item->param, *other->data, where));
  }
  for (const auto& [param, array] : staged) take_staged(*param, *array);
}

void Link::clear_grads() {
  LinkWalk walk(*this);
  while (const LinkItem* item = walk.next())
    if (item->param) item->param->set_grad(nullptr);
}

void Link::to_device(Device& device) {
  struct Move {
    Link* owner;
    size_t item;
    Ref<Variable> param, grad;
    Ref<Array> array;
  };
  std::vector<Move> moves;
  const std::vector<Link*> links = all_links(*this);
  for (Link* link : links) {
    for (size_t i = 0; i < link->size(); ++i) {
      const LinkItem& item = link->items_[i];
      Move m{link, i, item.param, nullptr, nullptr};
      if (item.persistent) m.array = catena::to_device(*item.persistent, device);
      if (item.param && item.param->data) m.array = catena::to_device(*item.param->data, device);
      if (item.param && item.param->grad) {
        Ref<Array> grad = catena::to_device(item.param->grad->array(), device);
        m.grad = Variable::make(*ctx_, grad, false);
      }
      if (item.param || m.array) moves.push_back(std::move(m));
    }
  }
  for (Move& m : moves) {
    if (m.param) {
      set_parameter_device(*m.param, device);
      if (m.array) m.param->set_array(*m.array);
      if (m.grad) m.param->set_grad(m.grad.get());
    } else {
      m.owner->items_[m.item].persistent = m.array;
    }
  }
  for (Link* link : links)
    if (link->entry_ && link->entry_->def.moved)
      check_status(link->entry_->def.moved(link->entry_->def.self, link, device.dl),
                   link->class_name());
}

void Link::notify_serialized(bool loading) {
  for (Link* link : all_links(*this))
    if (link->entry_ && link->entry_->def.serialized)
      check_status(link->entry_->def.serialized(link->entry_->def.self, link, loading ? 1 : 0),
                   link->class_name());
}

}  // namespace catena
