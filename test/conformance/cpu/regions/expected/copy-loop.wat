;; 0: branch
;;   mov rax, qword [rsi+rcx*8]
;;   mov qword [rdi+rcx*8], rax
;;   inc rcx
;;   cmp rcx, rdx
;;   jne 0x0
;; 14: return
;;   ret
;;
;; 6 instructions, 957 bytes of WebAssembly: 159.5 an instruction
(func $region (type $t0) (param $state i32) (param $tlb i32) (result i32)
  (local $budget i32) (local $way i32) (local $page i32) (local $stale i32) (local $rax i64)
  (local $rcx i64) (local $rdx i64) (local $rbx i64) (local $rsp i64) (local $rbp i64) (local $rsi i64)
  (local $rdi i64) (local $r8 i64) (local $r9 i64) (local $r10 i64) (local $r11 i64) (local $r12 i64)
  (local $r13 i64) (local $r14 i64) (local $r15 i64) (local $flagResult i64) (local $flagAux i32)
  (local $heldA i64) (local $heldB i64) (local $heldResult i64) (local $heldCarry i32) (local $l28 i64)
  (local $l29 i64) (local $l30 i32) (local $l31 i32) (local $l32 i32) (local $l33 i64) (local $l34 i64)
  (local $l35 i32)
  (local.set $rax (i64.load offset=RAX (local.get $state)))
  (local.set $rcx (i64.load offset=RCX (local.get $state)))
  (local.set $rdx (i64.load offset=RDX (local.get $state)))
  (local.set $rsp (i64.load offset=RSP (local.get $state)))
  (local.set $rsi (i64.load offset=RSI (local.get $state)))
  (local.set $rdi (i64.load offset=RDI (local.get $state)))
  (local.set $flagResult (i64.load offset=FLAG_RESULT (local.get $state)))
  (local.set $flagAux (i32.load offset=FLAG_AUX (local.get $state)))
  (local.set $budget (i32.load offset=BUDGET (local.get $state)))
  (block $B0
    (loop $L1
      (local.set $budget (i32.sub (local.get $budget) (i32.const 5)))
      (local.set $l28 (i64.add (local.get $rsi) (i64.shl (local.get $rcx) (i64.const 3))))
      (local.set $l29 (local.get $l28))
      (local.set $l31 (i32.wrap_i64 (i64.shr_u (local.get $l29) (i64.const 12))))
      (local.set $l32
        (i32.add
          (local.get $tlb)
          (i32.shl
            (i32.and
              (i32.add (local.get $l31) (i32.shr_u (local.get $l31) (i32.const 10)))
              (i32.const 1023))
            (i32.const 5))))
      (if $I2
        (i64.eq
          (i64.load (local.get $l32))
          (i64.and (i64.add (local.get $l29) (i64.const 7)) (i64.const -4096)))
        (then
          (local.set $l30 (i32.add (i32.wrap_i64 (local.get $l29)) (i32.load offset=24 (local.get $l32)))))
        (else
          (local.set $l30
            (call $prepare (local.get $state) (local.get $l29) (i32.const 8) (i32.const 1) (i32.const 0)))
          (if $I3
            (i32.eq (local.get $l30) (i32.const -1))
            (then
              (local.set $way (i32.const 20480))
              (br $B0)))))
      (local.set $l33 (i64.load (local.get $l30)))
      (local.set $l34 (local.get $l33))
      (local.set $rax (local.get $l34))
      (local.set $l34 (local.get $rax))
      (local.set $l33 (i64.add (local.get $rdi) (i64.shl (local.get $rcx) (i64.const 3))))
      (local.set $l29 (local.get $l34))
      (local.set $l28 (local.get $l33))
      (local.set $l31 (i32.const 0))
      (local.set $l30 (i32.wrap_i64 (i64.shr_u (local.get $l28) (i64.const 12))))
      (local.set $l35
        (i32.add
          (local.get $tlb)
          (i32.shl
            (i32.and
              (i32.add (local.get $l30) (i32.shr_u (local.get $l30) (i32.const 10)))
              (i32.const 1023))
            (i32.const 5))))
      (if $I4
        (i64.eq
          (i64.load offset=8 (local.get $l35))
          (i64.and (i64.add (local.get $l28) (i64.const 7)) (i64.const -4096)))
        (then
          (local.set $l32 (i32.add (i32.wrap_i64 (local.get $l28)) (i32.load offset=24 (local.get $l35)))))
        (else
          (local.set $l32
            (call $prepare (local.get $state) (local.get $l28) (i32.const 8) (i32.const 2) (i32.const 0)))
          (if $I5
            (i32.eq (local.get $l32) (i32.const -1))
            (then
              (local.set $way (i32.const 16388))
              (br $B0)))
          (local.set $l31 (i32.const 1))))
      (i64.store (local.get $l32) (local.get $l29))
      (if $I6
        (local.get $l31)
        (then
          (call $commit (local.get $state) (local.get $l32) (i32.const 8))
          (local.set $stale
            (select
              (local.get $stale)
              (i32.const 1)
              (i32.eq (i32.load16_u (i32.const 262144)) (i32.const 5))))))
      (if $I7
        (local.get $stale)
        (then
          (i64.store offset=RIP
            (local.get $state)
            (i64.add (i64.load offset=RIP_PAGE (local.get $state)) (i64.const 8)))
          (local.set $way (i32.const 402665472))
          (br $B0)))
      (local.set $l28 (local.get $rcx))
      (local.set $l29 (i64.add (local.get $l28) (i64.const 1)))
      (local.set $l35 (i32.shr_u (local.get $flagAux) (i32.const 31)))
      (local.set $heldA (local.get $l28))
      (local.set $heldB (i64.const 1))
      (local.set $heldResult (local.get $l29))
      (local.set $heldCarry (local.get $l35))
      (local.set $rcx (local.get $l29))
      (local.set $l29 (local.get $rcx))
      (local.set $l28 (local.get $rdx))
      (local.set $l33 (i64.sub (local.get $l29) (local.get $l28)))
      (local.set $heldA (local.get $l29))
      (local.set $heldB (local.get $l28))
      (local.set $heldResult (local.get $l33))
      (if $I8
        (i64.ne (local.get $heldA) (local.get $heldB))
        (then
          (local.set $l33
            (i64.or
              (i64.and (i64.xor (local.get $heldA) (i64.const -1)) (local.get $heldB))
              (i64.and
                (i64.or (i64.xor (local.get $heldA) (i64.const -1)) (local.get $heldB))
                (local.get $heldResult))))
          (local.set $l35
            (i32.or
              (i32.and (i32.wrap_i64 (local.get $l33)) (i32.const 8))
              (i32.shl (i32.wrap_i64 (i64.shr_u (local.get $l33) (i64.const 62))) (i32.const 30))))
          (local.set $flagResult (local.get $heldResult))
          (local.set $flagAux (local.get $l35))
          (br_if $L1
            (i32.and
              (i32.gt_s (local.get $budget) (i32.const 0))
              (i32.eqz (i32.load offset=ATTENTION (local.get $state)))))
          (local.set $way (i32.const 134217728))
          (br $B0)))
      (local.set $budget (i32.sub (local.get $budget) (i32.const 1)))
      (local.set $l33 (local.get $rsp))
      (local.set $l28 (local.get $l33))
      (local.set $l30 (i32.wrap_i64 (i64.shr_u (local.get $l28) (i64.const 12))))
      (local.set $l31
        (i32.add
          (local.get $tlb)
          (i32.shl
            (i32.and
              (i32.add (local.get $l30) (i32.shr_u (local.get $l30) (i32.const 10)))
              (i32.const 1023))
            (i32.const 5))))
      (if $I9
        (i64.eq
          (i64.load (local.get $l31))
          (i64.and (i64.add (local.get $l28) (i64.const 7)) (i64.const -4096)))
        (then
          (local.set $l35 (i32.add (i32.wrap_i64 (local.get $l28)) (i32.load offset=24 (local.get $l31)))))
        (else
          (local.set $l35
            (call $prepare (local.get $state) (local.get $l28) (i32.const 8) (i32.const 1) (i32.const 0)))
          (if $I10
            (i32.eq (local.get $l35) (i32.const -1))
            (then
              (local.set $way (i32.const 4198420))
              (br $B0)))))
      (local.set $l29 (i64.load (local.get $l35)))
      (local.set $l34 (i64.add (local.get $l33) (i64.const 8)))
      (if $I11
        (i64.ne (i64.shr_s (i64.shl (local.get $l29) (i64.const 16)) (i64.const 16)) (local.get $l29))
        (then
          (call $raise (local.get $state) (i32.const 13) (i32.const 0))
          (local.set $way (i32.const 4198420))
          (br $B0)))
      (local.set $rsp (local.get $l34))
      (i64.store offset=RIP (local.get $state) (local.get $l29))
      (local.set $way (i32.const 406847488))
      (br $B0))
    (unreachable))
  (if $I12
    (i32.eqz (i32.and (local.get $way) (i32.const 268435456)))
    (then
      (i64.store offset=RIP
        (local.get $state)
        (i64.add
          (i64.load offset=RIP_PAGE (local.get $state))
          (i64.extend_i32_s (i32.add (local.get $page) (i32.and (local.get $way) (i32.const 4095))))))))
  (block $B13
    (block $B14
      (block $B15
        (block $B16
          (br_table $B16 $B15 $B14 (i32.and (i32.shr_u (local.get $way) (i32.const 22)) (i32.const 31))))
        (br $B13))
      (local.set $l34
        (i64.or
          (i64.and (i64.xor (local.get $heldA) (i64.const -1)) (local.get $heldB))
          (i64.and
            (i64.or (i64.xor (local.get $heldA) (i64.const -1)) (local.get $heldB))
            (local.get $heldResult))))
      (local.set $l31
        (i32.or
          (i32.and (i32.wrap_i64 (local.get $l34)) (i32.const 8))
          (i32.shl (i32.wrap_i64 (i64.shr_u (local.get $l34) (i64.const 62))) (i32.const 30))))
      (local.set $flagResult (local.get $heldResult))
      (local.set $flagAux (local.get $l31))
      (br $B13)))
  (i64.store offset=RAX (local.get $state) (local.get $rax))
  (i64.store offset=RCX (local.get $state) (local.get $rcx))
  (i64.store offset=RSP (local.get $state) (local.get $rsp))
  (i64.store offset=FLAG_RESULT (local.get $state) (local.get $flagResult))
  (i32.store offset=FLAG_AUX (local.get $state) (local.get $flagAux))
  (i32.store offset=BUDGET
    (local.get $state)
    (i32.add (local.get $budget) (i32.and (i32.shr_u (local.get $way) (i32.const 12)) (i32.const 1023))))
  (if $I17
    (i32.and (local.get $way) (i32.const 134217728))
    (then (return_call $proceed (local.get $state) (local.get $tlb))))
  (i32.const 1))
