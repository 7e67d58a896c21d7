;; 0: instruction
;;   cmp al, byte [rsi]
;;   sete al
;;   sub eax, edx
;;   jmp rbx
;;
;; 4 instructions, 588 bytes of WebAssembly: 147.0 an instruction
(func $region (type $t0) (param $state i32) (param $tlb i32) (result i32)
  (local $budget i32) (local $way i32) (local $page i32) (local $stale i32) (local $rax i64)
  (local $rcx i64) (local $rdx i64) (local $rbx i64) (local $rsp i64) (local $rbp i64) (local $rsi i64)
  (local $rdi i64) (local $r8 i64) (local $r9 i64) (local $r10 i64) (local $r11 i64) (local $r12 i64)
  (local $r13 i64) (local $r14 i64) (local $r15 i64) (local $flagResult i64) (local $flagAux i32)
  (local $heldA i64) (local $heldB i64) (local $heldResult i64) (local $heldCarry i32) (local $l28 i64)
  (local $l29 i64) (local $l30 i64) (local $l31 i32) (local $l32 i32) (local $l33 i32) (local $l34 i64)
  (local $l35 i64) (local $l36 i64)
  (local.set $rax (i64.load offset=RAX (local.get $state)))
  (local.set $rdx (i64.load offset=RDX (local.get $state)))
  (local.set $rbx (i64.load offset=RBX (local.get $state)))
  (local.set $rsi (i64.load offset=RSI (local.get $state)))
  (local.set $flagResult (i64.load offset=FLAG_RESULT (local.get $state)))
  (local.set $flagAux (i32.load offset=FLAG_AUX (local.get $state)))
  (local.set $budget (i32.load offset=BUDGET (local.get $state)))
  (block $B0
    (local.set $budget (i32.sub (local.get $budget) (i32.const 4)))
    (local.set $l28 (i64.and (local.get $rax) (i64.const 255)))
    (local.set $l29 (local.get $rsi))
    (local.set $l30 (local.get $l29))
    (local.set $l32 (i32.wrap_i64 (i64.shr_u (local.get $l30) (i64.const 12))))
    (local.set $l33
      (i32.add
        (local.get $tlb)
        (i32.shl
          (i32.and (i32.add (local.get $l32) (i32.shr_u (local.get $l32) (i32.const 10))) (i32.const 1023))
          (i32.const 5))))
    (if $I1
      (i64.eq (i64.load (local.get $l33)) (i64.and (local.get $l30) (i64.const -4096)))
      (then
        (local.set $l31 (i32.add (i32.wrap_i64 (local.get $l30)) (i32.load offset=24 (local.get $l33)))))
      (else
        (local.set $l31
          (call $prepare (local.get $state) (local.get $l30) (i32.const 1) (i32.const 1) (i32.const 0)))
        (if $I2
          (i32.eq (local.get $l31) (i32.const -1))
          (then
            (local.set $way (i32.const 16384))
            (br $B0)))))
    (local.set $l34 (i64.load8_u (local.get $l31)))
    (local.set $l35 (i64.and (local.get $l34) (i64.const 255)))
    (local.set $l36 (i64.sub (local.get $l28) (local.get $l35)))
    (local.set $heldA (local.get $l28))
    (local.set $heldB (local.get $l35))
    (local.set $heldResult (local.get $l36))
    (local.set $l33
      (i64.eq (i64.and (local.get $heldA) (i64.const 255)) (i64.and (local.get $heldB) (i64.const 255))))
    (local.set $rax
      (i64.or
        (i64.and (local.get $rax) (i64.const -256))
        (i64.and (i64.extend_i32_u (local.get $l33)) (i64.const 255))))
    (local.set $l36 (i64.and (i64.and (local.get $rdx) (i64.const 4294967295)) (i64.const 4294967295)))
    (local.set $l35 (i64.and (local.get $rax) (i64.const 4294967295)))
    (local.set $l34 (i64.sub (local.get $l35) (local.get $l36)))
    (local.set $heldA (local.get $l35))
    (local.set $heldB (local.get $l36))
    (local.set $heldResult (local.get $l34))
    (local.set $rax (i64.and (local.get $l34) (i64.const 4294967295)))
    (local.set $l34 (local.get $rbx))
    (if $I3
      (i64.ne (i64.shr_s (i64.shl (local.get $l34) (i64.const 16)) (i64.const 16)) (local.get $l34))
      (then
        (call $raise (local.get $state) (i32.const 13) (i32.const 0))
        (local.set $way (i32.const 4198407))
        (br $B0)))
    (i64.store offset=RIP (local.get $state) (local.get $l34))
    (local.set $way (i32.const 406847488))
    (br $B0)
    (unreachable))
  (if $I4
    (i32.eqz (i32.and (local.get $way) (i32.const 268435456)))
    (then
      (i64.store offset=RIP
        (local.get $state)
        (i64.add
          (i64.load offset=RIP_PAGE (local.get $state))
          (i64.extend_i32_s (i32.add (local.get $page) (i32.and (local.get $way) (i32.const 4095))))))))
  (block $B5
    (block $B6
      (block $B7
        (block $B8
          (br_table $B8 $B7 $B6 (i32.and (i32.shr_u (local.get $way) (i32.const 22)) (i32.const 31))))
        (br $B5))
      (local.set $l34
        (i64.or
          (i64.and (i64.xor (local.get $heldA) (i64.const -1)) (local.get $heldB))
          (i64.and
            (i64.or (i64.xor (local.get $heldA) (i64.const -1)) (local.get $heldB))
            (local.get $heldResult))))
      (local.set $l33
        (i32.or
          (i32.and (i32.wrap_i64 (local.get $l34)) (i32.const 8))
          (i32.shl (i32.wrap_i64 (i64.shr_u (local.get $l34) (i64.const 30))) (i32.const 30))))
      (local.set $flagResult (i64.extend32_s (local.get $heldResult)))
      (local.set $flagAux (local.get $l33))
      (br $B5)))
  (i64.store offset=RAX (local.get $state) (local.get $rax))
  (i64.store offset=FLAG_RESULT (local.get $state) (local.get $flagResult))
  (i32.store offset=FLAG_AUX (local.get $state) (local.get $flagAux))
  (i32.store offset=BUDGET
    (local.get $state)
    (i32.add (local.get $budget) (i32.and (i32.shr_u (local.get $way) (i32.const 12)) (i32.const 1023))))
  (if $I9
    (i32.and (local.get $way) (i32.const 134217728))
    (then (return_call $proceed (local.get $state) (local.get $tlb))))
  (i32.const 1))
