;; The inner loop of a convolution: out[o] += sum over c of in[c] * kernel[c][o], eight outputs at a time.
;; `bytes` is the length of one kernel row, a multiple of 32; `count` is at least 1.
(module
  (import "host" "memory" (memory 1))
  (func (export "accumulate") (param $in i32) (param $kernel i32) (param $out i32) (param $count i32) (param $bytes i32)
    (local $o i32) (local $c i32) (local $k i32) (local $i i32) (local $a v128) (local $b v128) (local $v v128)
    (loop $outputs
      (local.set $a (v128.load (i32.add (local.get $out) (local.get $o))))
      (local.set $b (v128.load offset=16 (i32.add (local.get $out) (local.get $o))))
      (local.set $k (i32.add (local.get $kernel) (local.get $o)))
      (local.set $i (local.get $in))
      (local.set $c (local.get $count))
      (loop $inputs
        (local.set $v (v128.load32_splat (local.get $i)))
        (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $v) (v128.load (local.get $k)))))
        (local.set $b (f32x4.add (local.get $b) (f32x4.mul (local.get $v) (v128.load offset=16 (local.get $k)))))
        (local.set $i (i32.add (local.get $i) (i32.const 4)))
        (local.set $k (i32.add (local.get $k) (local.get $bytes)))
        (br_if $inputs (local.tee $c (i32.sub (local.get $c) (i32.const 1)))))
      (v128.store (i32.add (local.get $out) (local.get $o)) (local.get $a))
      (v128.store offset=16 (i32.add (local.get $out) (local.get $o)) (local.get $b))
      (local.set $o (i32.add (local.get $o) (i32.const 32)))
      (br_if $outputs (i32.lt_u (local.get $o) (local.get $bytes))))))
