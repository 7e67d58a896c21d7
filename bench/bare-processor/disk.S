/* Boot sector for a monitor that can't load Multiboot images: reads SECTORS sectors behind itself through the BIOS,
   enters protected mode, copies them to 1 MiB and jumps to the kernel's entry as a Multiboot loader would. */
.code16
.globl start
start:
    ljmp $0, $1f
1:  xor %ax, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $0x7c00, %sp
    mov $packet, %si
    mov $0x42, %ah
    int $0x13
    jc fail
    cli
    in $0x92, %al
    or $2, %al
    out %al, $0x92
    lgdt descriptor
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmp $8, $protected
fail:
    hlt
    jmp fail
.code32
protected:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    cld
    mov $0x10000, %esi
    mov $0x100000, %edi
    mov $(SECTORS * 128), %ecx
    rep movsl
    mov $0x2badb002, %eax
    xor %ebx, %ebx
    mov $ENTRY, %edx
    jmp *%edx
.balign 8
/* Flat code and data. */
table:
    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
descriptor:
    .word 23
    .long table
packet:
    .byte 16, 0
    .word SECTORS, 0, 0x1000
    .quad 1
.org 510
.word 0xaa55
