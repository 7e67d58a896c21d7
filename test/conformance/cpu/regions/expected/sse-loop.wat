;; 0: branch
;;   movups xmm1, xmmword [rsi]
;;   paddd xmm1, xmm2
;;   addpd xmm0, xmm1
;;   add rsi, 0x10
;;   dec ecx
;;   jne 0x0
;; 17: return
;;   ret
;;
;; 7 instructions, 2125 bytes of WebAssembly: 303.6 an instruction
(func $region (type $t0) (param $state i32) (param $tlb i32) (result i32)
  (local $budget i32) (local $way i32) (local $page i32) (local $stale i32) (local $rax i64)
  (local $rcx i64) (local $rdx i64) (local $rbx i64) (local $rsp i64) (local $rbp i64) (local $rsi i64)
  (local $rdi i64) (local $r8 i64) (local $r9 i64) (local $r10 i64) (local $r11 i64) (local $r12 i64)
  (local $r13 i64) (local $r14 i64) (local $r15 i64) (local $flagResult i64) (local $flagAux i32)
  (local $heldA i64) (local $heldB i64) (local $heldResult i64) (local $heldCarry i32) (local $l28 i64)
  (local $l29 i64) (local $l30 i64) (local $l31 i32) (local $l32 i32) (local $l33 i32) (local $l34 v128)
  (local $l35 v128) (local $l36 v128) (local $l37 v128) (local $l38 v128) (local $l39 v128)
  (local $l40 v128) (local $l41 v128) (local $l42 v128) (local $l43 v128) (local $l44 i64)
  (local.set $rax (i64.load offset=RAX (local.get $state)))
  (local.set $rcx (i64.load offset=RCX (local.get $state)))
  (local.set $rdx (i64.load offset=RDX (local.get $state)))
  (local.set $rbx (i64.load offset=RBX (local.get $state)))
  (local.set $rsp (i64.load offset=RSP (local.get $state)))
  (local.set $rbp (i64.load offset=RBP (local.get $state)))
  (local.set $rsi (i64.load offset=RSI (local.get $state)))
  (local.set $rdi (i64.load offset=RDI (local.get $state)))
  (local.set $r8 (i64.load offset=R8 (local.get $state)))
  (local.set $r9 (i64.load offset=R9 (local.get $state)))
  (local.set $r10 (i64.load offset=R10 (local.get $state)))
  (local.set $r11 (i64.load offset=R11 (local.get $state)))
  (local.set $r12 (i64.load offset=R12 (local.get $state)))
  (local.set $r13 (i64.load offset=R13 (local.get $state)))
  (local.set $r14 (i64.load offset=R14 (local.get $state)))
  (local.set $r15 (i64.load offset=R15 (local.get $state)))
  (local.set $flagResult (i64.load offset=FLAG_RESULT (local.get $state)))
  (local.set $flagAux (i32.load offset=FLAG_AUX (local.get $state)))
  (local.set $budget (i32.load offset=BUDGET (local.get $state)))
  (block $B0
    (loop $L1
      (local.set $budget (i32.sub (local.get $budget) (i32.const 6)))
      (local.set $l28 (local.get $rsi))
      (local.set $l29 (local.get $l28))
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
      (if $I2
        (i64.eq
          (i64.load (local.get $l33))
          (i64.and (i64.add (local.get $l30) (i64.const 15)) (i64.const -4096)))
        (then
          (local.set $l31 (i32.add (i32.wrap_i64 (local.get $l30)) (i32.load offset=24 (local.get $l33)))))
        (else
          (local.set $l31
            (call $prepare (local.get $state) (local.get $l30) (i32.const 16) (i32.const 1) (i32.const 0)))
          (if $I3
            (i32.eq (local.get $l31) (i32.const -1))
            (then
              (local.set $way (i32.const 24576))
              (br $B0)))))
      (local.set $l34 (v128.load (local.get $l31)))
      (v128.store offset=XMM1 (local.get $state) (local.get $l34))
      (local.set $l34 (v128.load offset=XMM2 (local.get $state)))
      (local.set $l35 (v128.load offset=XMM1 (local.get $state)))
      (v128.store offset=XMM1 (local.get $state) (i32x4.add (local.get $l35) (local.get $l34)))
      (local.set $l35 (v128.load offset=XMM1 (local.get $state)))
      (local.set $l34 (v128.load offset=XMM0 (local.get $state)))
      (local.set $l33 (i32.load offset=MXCSR (local.get $state)))
      (if $I4
        (i32.eq (i32.and (local.get $l33) (i32.const 65472)) (i32.const 8064))
        (then
          (local.set $l36 (f64x2.add (local.get $l34) (local.get $l35)))
          (local.set $l37 (f64x2.ne (local.get $l36) (local.get $l36)))
          (if $I5
            (v128.any_true (local.get $l37))
            (then
              (local.set $l36
                (v128.bitselect
                  (v128.bitselect
                    (v128.or
                      (local.get $l34)
                      (v128.const i32x4 0x00000000 0x00080000 0x00000000 0x00080000))
                    (v128.bitselect
                      (v128.or
                        (local.get $l35)
                        (v128.const i32x4 0x00000000 0x00080000 0x00000000 0x00080000))
                      (v128.const i32x4 0x00000000 0xfff80000 0x00000000 0xfff80000)
                      (f64x2.ne (local.get $l35) (local.get $l35)))
                    (f64x2.ne (local.get $l34) (local.get $l34)))
                  (local.get $l36)
                  (local.get $l37)))))
          (v128.store offset=XMM0 (local.get $state) (local.get $l36)))
        (else
          (block $B6
            (if $I7
              (i32.eq (i32.and (local.get $l33) (i32.const 28704)) (i32.const 4128))
              (then
                (local.set $l38 (f64x2.add (local.get $l34) (local.get $l35)))
                (local.set $l39 (f64x2.ne (local.get $l38) (local.get $l38)))
                (if $I8
                  (v128.any_true (local.get $l39))
                  (then
                    (local.set $l38
                      (v128.bitselect
                        (v128.bitselect
                          (v128.or
                            (local.get $l34)
                            (v128.const i32x4 0x00000000 0x00080000 0x00000000 0x00080000))
                          (v128.bitselect
                            (v128.or
                              (local.get $l35)
                              (v128.const i32x4 0x00000000 0x00080000 0x00000000 0x00080000))
                            (v128.const i32x4 0x00000000 0xfff80000 0x00000000 0xfff80000)
                            (f64x2.ne (local.get $l35) (local.get $l35)))
                          (f64x2.ne (local.get $l34) (local.get $l34)))
                        (local.get $l38)
                        (local.get $l39)))))
                (local.set $l40 (local.get $l38))
                (local.set $l41 (i64x2.shl (local.get $l40) (i32.const 1)))
                (local.set $l42 (i64x2.shl (local.get $l34) (i32.const 1)))
                (local.set $l43 (i64x2.shl (local.get $l35) (i32.const 1)))
                (if $I9
                  (i64x2.all_true
                    (v128.and
                      (v128.and
                        (v128.or
                          (i64x2.eq
                            (local.get $l42)
                            (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000))
                          (i64x2.lt_s
                            (v128.xor
                              (i64x2.sub
                                (local.get $l42)
                                (v128.const i32x4 0x00000000 0x00200000 0x00000000 0x00200000))
                              (v128.const i32x4 0x00000000 0x80000000 0x00000000 0x80000000))
                            (v128.const i32x4 0x00000000 0x7fc00000 0x00000000 0x7fc00000)))
                        (v128.or
                          (i64x2.eq
                            (local.get $l43)
                            (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000))
                          (i64x2.lt_s
                            (v128.xor
                              (i64x2.sub
                                (local.get $l43)
                                (v128.const i32x4 0x00000000 0x00200000 0x00000000 0x00200000))
                              (v128.const i32x4 0x00000000 0x80000000 0x00000000 0x80000000))
                            (v128.const i32x4 0x00000000 0x7fc00000 0x00000000 0x7fc00000))))
                      (v128.or
                        (i64x2.eq
                          (local.get $l41)
                          (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000))
                        (i64x2.lt_s
                          (v128.xor
                            (i64x2.sub
                              (local.get $l41)
                              (v128.const i32x4 0x00000001 0x00200000 0x00000001 0x00200000))
                            (v128.const i32x4 0x00000000 0x80000000 0x00000000 0x80000000))
                          (v128.const i32x4 0xffffffff 0x7fbfffff 0xffffffff 0x7fbfffff)))))
                  (then
                    (v128.store offset=XMM0 (local.get $state) (local.get $l40))
                    (br $B6)))))
            (v128.store offset=1536 (local.get $state) (v128.load offset=XMM0 (local.get $state)))
            (v128.store offset=1552 (local.get $state) (local.get $l35))
            (i64.store offset=RAX (local.get $state) (local.get $rax))
            (i64.store offset=RCX (local.get $state) (local.get $rcx))
            (i64.store offset=RDX (local.get $state) (local.get $rdx))
            (i64.store offset=RBX (local.get $state) (local.get $rbx))
            (i64.store offset=RSP (local.get $state) (local.get $rsp))
            (i64.store offset=RBP (local.get $state) (local.get $rbp))
            (i64.store offset=RSI (local.get $state) (local.get $rsi))
            (i64.store offset=RDI (local.get $state) (local.get $rdi))
            (i64.store offset=R8 (local.get $state) (local.get $r8))
            (i64.store offset=R9 (local.get $state) (local.get $r9))
            (i64.store offset=R10 (local.get $state) (local.get $r10))
            (i64.store offset=R11 (local.get $state) (local.get $r11))
            (i64.store offset=R12 (local.get $state) (local.get $r12))
            (i64.store offset=R13 (local.get $state) (local.get $r13))
            (i64.store offset=R14 (local.get $state) (local.get $r14))
            (i64.store offset=R15 (local.get $state) (local.get $r15))
            (i64.store offset=FLAG_RESULT (local.get $state) (local.get $flagResult))
            (i32.store offset=FLAG_AUX (local.get $state) (local.get $flagAux))
            (i64.store offset=RIP
              (local.get $state)
              (i64.add (i64.load offset=RIP_PAGE (local.get $state)) (i64.const 7)))
            (i64.store offset=NEXT_RIP
              (local.get $state)
              (i64.add (i64.load offset=RIP_PAGE (local.get $state)) (i64.const 11)))
            (i32.store offset=BUDGET (local.get $state) (local.get $budget))
            (local.set $l32
              (call $microcode (local.get $state) (i32.const 56) (i32.const 32) (i32.const 1)))
            (local.set $rax (i64.load offset=RAX (local.get $state)))
            (local.set $rcx (i64.load offset=RCX (local.get $state)))
            (local.set $rdx (i64.load offset=RDX (local.get $state)))
            (local.set $rbx (i64.load offset=RBX (local.get $state)))
            (local.set $rsp (i64.load offset=RSP (local.get $state)))
            (local.set $rbp (i64.load offset=RBP (local.get $state)))
            (local.set $rsi (i64.load offset=RSI (local.get $state)))
            (local.set $rdi (i64.load offset=RDI (local.get $state)))
            (local.set $r8 (i64.load offset=R8 (local.get $state)))
            (local.set $r9 (i64.load offset=R9 (local.get $state)))
            (local.set $r10 (i64.load offset=R10 (local.get $state)))
            (local.set $r11 (i64.load offset=R11 (local.get $state)))
            (local.set $r12 (i64.load offset=R12 (local.get $state)))
            (local.set $r13 (i64.load offset=R13 (local.get $state)))
            (local.set $r14 (i64.load offset=R14 (local.get $state)))
            (local.set $r15 (i64.load offset=R15 (local.get $state)))
            (local.set $flagResult (i64.load offset=FLAG_RESULT (local.get $state)))
            (local.set $flagAux (i32.load offset=FLAG_AUX (local.get $state)))
            (if $I10
              (i32.eq (local.get $l32) (i32.const 1))
              (then
                (local.set $way (i32.const 16391))
                (br $B0)))
            (if $I11
              (i32.eq (local.get $l32) (i32.const 2))
              (then
                (i64.store offset=RIP (local.get $state) (i64.load offset=RIP (local.get $state)))
                (local.set $way (i32.const 402665472))
                (br $B0)))
            (local.set $stale
              (select
                (local.get $stale)
                (i32.const 1)
                (i32.eq (i32.load16_u (i32.const 262144)) (i32.const 5))))
            (v128.store offset=XMM0 (local.get $state) (v128.load offset=1568 (local.get $state))))))
      (if $I12
        (local.get $stale)
        (then
          (i64.store offset=RIP
            (local.get $state)
            (i64.add (i64.load offset=RIP_PAGE (local.get $state)) (i64.const 11)))
          (local.set $way (i32.const 402665472))
          (br $B0)))
      (local.set $l30 (local.get $rsi))
      (local.set $l29 (i64.add (local.get $l30) (i64.const 16)))
      (local.set $heldA (local.get $l30))
      (local.set $heldB (i64.const 16))
      (local.set $heldResult (local.get $l29))
      (local.set $rsi (local.get $l29))
      (local.set $l29 (i64.and (local.get $rcx) (i64.const 4294967295)))
      (local.set $l30 (i64.add (local.get $l29) (i64.const -1)))
      (local.set $l32 (i64.lt_u (local.get $heldResult) (local.get $heldA)))
      (local.set $heldA (local.get $l29))
      (local.set $heldB (i64.const 1))
      (local.set $heldResult (local.get $l30))
      (local.set $heldCarry (local.get $l32))
      (local.set $rcx (i64.and (local.get $l30) (i64.const 4294967295)))
      (if $I13
        (i32.eqz (i64.eqz (i64.and (local.get $heldResult) (i64.const 4294967295))))
        (then
          (local.set $l30
            (i64.or
              (i64.and (i64.xor (local.get $heldA) (i64.const -1)) (local.get $heldB))
              (i64.and
                (i64.or (i64.xor (local.get $heldA) (i64.const -1)) (local.get $heldB))
                (local.get $heldResult))))
          (local.set $l32
            (i32.or
              (i32.and (i32.wrap_i64 (local.get $l30)) (i32.const 8))
              (i32.shl (i32.wrap_i64 (i64.shr_u (local.get $l30) (i64.const 30))) (i32.const 30))))
          (local.set $l33 (i32.shl (local.get $heldCarry) (i32.const 31)))
          (local.set $l31
            (i32.or
              (i32.and (local.get $l32) (i32.const 8))
              (i32.or
                (local.get $l33)
                (i32.shr_u
                  (i32.xor
                    (local.get $l33)
                    (i32.and
                      (i32.xor (local.get $l32) (i32.shl (local.get $l32) (i32.const 1)))
                      (i32.const -2147483648)))
                  (i32.const 1)))))
          (local.set $flagResult (i64.extend32_s (local.get $heldResult)))
          (local.set $flagAux (local.get $l31))
          (br_if $L1
            (i32.and
              (i32.gt_s (local.get $budget) (i32.const 0))
              (i32.eqz (i32.load offset=ATTENTION (local.get $state)))))
          (local.set $way (i32.const 134217728))
          (br $B0)))
      (local.set $budget (i32.sub (local.get $budget) (i32.const 1)))
      (local.set $l30 (local.get $rsp))
      (local.set $l29 (local.get $l30))
      (local.set $l33 (i32.wrap_i64 (i64.shr_u (local.get $l29) (i64.const 12))))
      (local.set $l32
        (i32.add
          (local.get $tlb)
          (i32.shl
            (i32.and
              (i32.add (local.get $l33) (i32.shr_u (local.get $l33) (i32.const 10)))
              (i32.const 1023))
            (i32.const 5))))
      (if $I14
        (i64.eq
          (i64.load (local.get $l32))
          (i64.and (i64.add (local.get $l29) (i64.const 7)) (i64.const -4096)))
        (then
          (local.set $l31 (i32.add (i32.wrap_i64 (local.get $l29)) (i32.load offset=24 (local.get $l32)))))
        (else
          (local.set $l31
            (call $prepare (local.get $state) (local.get $l29) (i32.const 8) (i32.const 1) (i32.const 0)))
          (if $I15
            (i32.eq (local.get $l31) (i32.const -1))
            (then
              (local.set $way (i32.const 4198423))
              (br $B0)))))
      (local.set $l28 (i64.load (local.get $l31)))
      (local.set $l44 (i64.add (local.get $l30) (i64.const 8)))
      (if $I16
        (i64.ne (i64.shr_s (i64.shl (local.get $l28) (i64.const 16)) (i64.const 16)) (local.get $l28))
        (then
          (call $raise (local.get $state) (i32.const 13) (i32.const 0))
          (local.set $way (i32.const 4198423))
          (br $B0)))
      (local.set $rsp (local.get $l44))
      (i64.store offset=RIP (local.get $state) (local.get $l28))
      (local.set $way (i32.const 406847488))
      (br $B0))
    (unreachable))
  (if $I17
    (i32.eqz (i32.and (local.get $way) (i32.const 268435456)))
    (then
      (i64.store offset=RIP
        (local.get $state)
        (i64.add
          (i64.load offset=RIP_PAGE (local.get $state))
          (i64.extend_i32_s (i32.add (local.get $page) (i32.and (local.get $way) (i32.const 4095))))))))
  (block $B18
    (block $B19
      (block $B20
        (block $B21
          (br_table $B21 $B20 $B19 (i32.and (i32.shr_u (local.get $way) (i32.const 22)) (i32.const 31))))
        (br $B18))
      (local.set $l44
        (i64.or
          (i64.and (i64.xor (local.get $heldA) (i64.const -1)) (local.get $heldB))
          (i64.and
            (i64.or (i64.xor (local.get $heldA) (i64.const -1)) (local.get $heldB))
            (local.get $heldResult))))
      (local.set $l32
        (i32.or
          (i32.and (i32.wrap_i64 (local.get $l44)) (i32.const 8))
          (i32.shl (i32.wrap_i64 (i64.shr_u (local.get $l44) (i64.const 30))) (i32.const 30))))
      (local.set $l33 (i32.shl (local.get $heldCarry) (i32.const 31)))
      (local.set $l31
        (i32.or
          (i32.and (local.get $l32) (i32.const 8))
          (i32.or
            (local.get $l33)
            (i32.shr_u
              (i32.xor
                (local.get $l33)
                (i32.and
                  (i32.xor (local.get $l32) (i32.shl (local.get $l32) (i32.const 1)))
                  (i32.const -2147483648)))
              (i32.const 1)))))
      (local.set $flagResult (i64.extend32_s (local.get $heldResult)))
      (local.set $flagAux (local.get $l31))
      (br $B18)))
  (i64.store offset=RAX (local.get $state) (local.get $rax))
  (i64.store offset=RCX (local.get $state) (local.get $rcx))
  (i64.store offset=RDX (local.get $state) (local.get $rdx))
  (i64.store offset=RBX (local.get $state) (local.get $rbx))
  (i64.store offset=RSP (local.get $state) (local.get $rsp))
  (i64.store offset=RBP (local.get $state) (local.get $rbp))
  (i64.store offset=RSI (local.get $state) (local.get $rsi))
  (i64.store offset=RDI (local.get $state) (local.get $rdi))
  (i64.store offset=R8 (local.get $state) (local.get $r8))
  (i64.store offset=R9 (local.get $state) (local.get $r9))
  (i64.store offset=R10 (local.get $state) (local.get $r10))
  (i64.store offset=R11 (local.get $state) (local.get $r11))
  (i64.store offset=R12 (local.get $state) (local.get $r12))
  (i64.store offset=R13 (local.get $state) (local.get $r13))
  (i64.store offset=R14 (local.get $state) (local.get $r14))
  (i64.store offset=R15 (local.get $state) (local.get $r15))
  (i64.store offset=FLAG_RESULT (local.get $state) (local.get $flagResult))
  (i32.store offset=FLAG_AUX (local.get $state) (local.get $flagAux))
  (i32.store offset=BUDGET
    (local.get $state)
    (i32.add (local.get $budget) (i32.and (i32.shr_u (local.get $way) (i32.const 12)) (i32.const 1023))))
  (if $I22
    (i32.and (local.get $way) (i32.const 134217728))
    (then (return_call $proceed (local.get $state) (local.get $tlb))))
  (i32.const 1))
