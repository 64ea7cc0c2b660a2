// A ctn_form with memory of its own: the one that compile is handed is gone when it returns.
#pragma once

#include <catena/plugin.h>

#include <vector>

namespace catena::cuda {

class OwnForm {
 public:
  explicit OwnForm(const ctn_form& form)
      : args_(form.args, form.args + form.n_args),
        scalars_(form.scalars, form.scalars + form.n_scalars),
        accs_(form.accs, form.accs + form.n_acc),
        map_(form.map.insts, form.map.insts + form.map.n),
        reduce_(form.reduce.insts, form.reduce.insts + form.reduce.n),
        post_(form.post.insts, form.post.insts + form.post.n),
        form_(form) {
    form_.args = args_.data();
    form_.scalars = scalars_.data();
    form_.accs = accs_.data();
    form_.map.insts = map_.data();
    form_.reduce.insts = reduce_.data();
    form_.post.insts = post_.data();
  }
  OwnForm(const OwnForm&) = delete;
  OwnForm& operator=(const OwnForm&) = delete;
  const ctn_form& get() const { return form_; }

 private:
  std::vector<ctn_form_arg> args_;
  std::vector<uint8_t> scalars_;
  std::vector<ctn_acc> accs_;
  std::vector<ctn_inst> map_, reduce_, post_;
  ctn_form form_;
};

}  // namespace catena::cuda
