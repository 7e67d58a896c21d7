/* Multiboot 1 header, the entry from a loader (or from disk.S), and the entries from user programs. */
.section .multiboot, "ax"
.long 0x1badb002, 0, -0x1badb002
.balign 16
/* disk.S jumps here: ENTRY in bare-programs.ts is this address. */
.globl entry
entry:
    cld
    mov $kernel_stack_top, %esp
    mov $bss_start, %edi
    mov $bss_end, %ecx
    sub %edi, %ecx
    xor %eax, %eax
    rep stosb
    call prepare
    /* To the programs, with privilege level 3. */
    mov $0x23, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    pushl $0x23
    pushl $user_stack_top
    pushl $2
    pushl $0x1b
    pushl $run_programs
    iret

.text
/* INT 0x80: the call's number in EAX, its argument in EBX, the answer in EAX. */
.globl call_entry
call_entry:
    push %ds
    push %es
    pushl %ecx
    pushl %edx
    mov $0x10, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    pushl %ebx
    pushl %eax
    call kernel_call
    add $8, %esp
    popl %edx
    popl %ecx
    pop %es
    pop %ds
    iret

.globl page_fault_entry
page_fault_entry:
    pusha
    mov %cr2, %eax
    pushl %eax
    call page_fault
    add $4, %esp
    popa
    add $4, %esp
    iret

/* Any other exception is a mistake of ours: say so and stop. */
.globl stop_entry
stop_entry:
    call stopped
1:  hlt
    jmp 1b
