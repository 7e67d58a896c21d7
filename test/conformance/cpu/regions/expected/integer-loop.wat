;; 0: fall
;;   mov ecx, 0x64
;; 5: branch
;;   add rax, rcx
;;   dec ecx
;;   jne 0x5
;; 10: return
;;   ret
;;
;; 5 instructions, 660 bytes of WebAssembly: 132.0 an instruction
(func $region (type $t0) (param $state i32) (param $tlb i32) (result i32)
  (local $budget i32) (local $way i32) (local $page i32) (local $stale i32) (local $rax i64)
  (local $rcx i64) (local $rdx i64) (local $rbx i64) (local $rsp i64) (local $rbp i64) (local $rsi i64)
  (local $rdi i64) (local $r8 i64) (local $r9 i64) (local $r10 i64) (local $r11 i64) (local $r12 i64)
  (local $r13 i64) (local $r14 i64) (local $r15 i64) (local $flagResult i64) (local $flagAux i32)
  (local $heldA i64) (local $heldB i64) (local $heldResult i64) (local $heldCarry i32) (local $l28 i64)
  (local $l29 i64) (local $l30 i64) (local $l31 i32) (local $l32 i32) (local $l33 i32) (local $l34 i64)
  (local.set $rax (i64.load offset=RAX (local.get $state)))
  (local.set $rcx (i64.load offset=RCX (local.get $state)))
  (local.set $rsp (i64.load offset=RSP (local.get $state)))
  (local.set $flagResult (i64.load offset=FLAG_RESULT (local.get $state)))
  (local.set $flagAux (i32.load offset=FLAG_AUX (local.get $state)))
  (local.set $budget (i32.load offset=BUDGET (local.get $state)))
  (block $B0
    (local.set $budget (i32.sub (local.get $budget) (i32.const 1)))
    (local.set $rcx (i64.const 100))
    (loop $L1
      (local.set $budget (i32.sub (local.get $budget) (i32.const 3)))
      (local.set $l28 (local.get $rcx))
      (local.set $l29 (local.get $rax))
      (local.set $l30 (i64.add (local.get $l29) (local.get $l28)))
      (local.set $heldA (local.get $l29))
      (local.set $heldB (local.get $l28))
      (local.set $heldResult (local.get $l30))
      (local.set $rax (local.get $l30))
      (local.set $l30 (i64.and (local.get $rcx) (i64.const 4294967295)))
      (local.set $l29 (i64.add (local.get $l30) (i64.const -1)))
      (local.set $l31 (i64.lt_u (local.get $heldResult) (local.get $heldA)))
      (local.set $heldA (local.get $l30))
      (local.set $heldB (i64.const 1))
      (local.set $heldResult (local.get $l29))
      (local.set $heldCarry (local.get $l31))
      (local.set $rcx (i64.and (local.get $l29) (i64.const 4294967295)))
      (if $I2
        (i32.eqz (i64.eqz (i64.and (local.get $heldResult) (i64.const 4294967295))))
        (then
          (br_if $L1
            (i32.and
              (i32.gt_s (local.get $budget) (i32.const 0))
              (i32.eqz (i32.load offset=ATTENTION (local.get $state)))))
          (local.set $way (i32.const 138412037))
          (br $B0)))
      (local.set $budget (i32.sub (local.get $budget) (i32.const 1)))
      (local.set $l29 (local.get $rsp))
      (local.set $l30 (local.get $l29))
      (local.set $l32 (i32.wrap_i64 (i64.shr_u (local.get $l30) (i64.const 12))))
      (local.set $l33
        (i32.add
          (local.get $tlb)
          (i32.shl
            (i32.and
              (i32.add (local.get $l32) (i32.shr_u (local.get $l32) (i32.const 10)))
              (i32.const 1023))
            (i32.const 5))))
      (if $I3
        (i64.eq
          (i64.load (local.get $l33))
          (i64.and (i64.add (local.get $l30) (i64.const 7)) (i64.const -4096)))
        (then
          (local.set $l31 (i32.add (i32.wrap_i64 (local.get $l30)) (i32.load offset=24 (local.get $l33)))))
        (else
          (local.set $l31
            (call $prepare (local.get $state) (local.get $l30) (i32.const 8) (i32.const 1) (i32.const 0)))
          (if $I4
            (i32.eq (local.get $l31) (i32.const -1))
            (then
              (local.set $way (i32.const 4198416))
              (br $B0)))))
      (local.set $l28 (i64.load (local.get $l31)))
      (local.set $l34 (i64.add (local.get $l29) (i64.const 8)))
      (if $I5
        (i64.ne (i64.shr_s (i64.shl (local.get $l28) (i64.const 16)) (i64.const 16)) (local.get $l28))
        (then
          (call $raise (local.get $state) (i32.const 13) (i32.const 0))
          (local.set $way (i32.const 4198416))
          (br $B0)))
      (local.set $rsp (local.get $l34))
      (i64.store offset=RIP (local.get $state) (local.get $l28))
      (local.set $way (i32.const 406847488))
      (br $B0))
    (unreachable))
  (if $I6
    (i32.eqz (i32.and (local.get $way) (i32.const 268435456)))
    (then
      (i64.store offset=RIP
        (local.get $state)
        (i64.add
          (i64.load offset=RIP_PAGE (local.get $state))
          (i64.extend_i32_s (i32.add (local.get $page) (i32.and (local.get $way) (i32.const 4095))))))))
  (block $B7
    (block $B8
      (block $B9
        (block $B10
          (br_table $B10 $B9 $B8 (i32.and (i32.shr_u (local.get $way) (i32.const 22)) (i32.const 31))))
        (br $B7))
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
      (local.set $l32 (i32.shl (local.get $heldCarry) (i32.const 31)))
      (local.set $l31
        (i32.or
          (i32.and (local.get $l33) (i32.const 8))
          (i32.or
            (local.get $l32)
            (i32.shr_u
              (i32.xor
                (local.get $l32)
                (i32.and
                  (i32.xor (local.get $l33) (i32.shl (local.get $l33) (i32.const 1)))
                  (i32.const -2147483648)))
              (i32.const 1)))))
      (local.set $flagResult (i64.extend32_s (local.get $heldResult)))
      (local.set $flagAux (local.get $l31))
      (br $B7)))
  (i64.store offset=RAX (local.get $state) (local.get $rax))
  (i64.store offset=RCX (local.get $state) (local.get $rcx))
  (i64.store offset=RSP (local.get $state) (local.get $rsp))
  (i64.store offset=FLAG_RESULT (local.get $state) (local.get $flagResult))
  (i32.store offset=FLAG_AUX (local.get $state) (local.get $flagAux))
  (i32.store offset=BUDGET
    (local.get $state)
    (i32.add (local.get $budget) (i32.and (i32.shr_u (local.get $way) (i32.const 12)) (i32.const 1023))))
  (if $I11
    (i32.and (local.get $way) (i32.const 134217728))
    (then (return_call $proceed (local.get $state) (local.get $tlb))))
  (i32.const 1))
