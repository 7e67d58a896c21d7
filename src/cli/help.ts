/** Texts of --help. */

export const GENERAL_HELP = `partita: a Hyper-V-compatible hypervisor in TypeScript

  partita run --kernel FILE [options]   boot a kernel in a child partition
  partita inspect [PID]                 look inside a running machine
  partita symbols FILE -o FILE          a file of symbols for gdb, from System.map or /proc/kallsyms
  partita picture TRACE                 draw the memory of a machine from its trace
  partita snapshot [PID] FILE           take a snapshot of a running machine
  partita run --from FILE               start another machine from a snapshot
  partita save [PID] FILE               write a running machine to a file and end it
  partita run --restore FILE            go on with a machine that was saved
  partita demo                          fetch a Debian kernel and boot it to a shell (npm start)
  partita --version

partita run --help and partita inspect --help tell more.
`;

export const RUN_HELP = `partita run: boots a kernel in a child partition

  --kernel FILE          a Linux bzImage, or an ELF file with a PVH note or a Multiboot 1 header
  --from FILE            instead of a kernel: a new machine that starts where the snapshot was taken
  --restore FILE         instead of a kernel: go on with the machine that was saved
  --initrd FILE          initial RAM disk
  --append TEXT          the kernel's command line
  --memory SIZE          guest memory, with K, M or G; a multiple of 2M (default 512M)
  --vps N                virtual processors, 1 to 8 (default 1)
  --numa SPEC            NUMA nodes: how many (2), their sizes (256M,256M), or host: as this machine has
  --module "FILE ARGS"   boot module with its command line; may be repeated
  --serial WHERE         where COM1 goes: stdio (default), file:PATH or none
  --trace FILE           write every hypercall, intercept, message and mapping change as JSON lines
  --debug-connection PATH
                         the guest's debug connection (HvPostDebugData), as a socket at PATH
  --gdb PORT             let gdb debug the machine: target remote :PORT; 0 takes any free port
  --gdb-wait             execute nothing until gdb lets the machine go
  --symbols FILE         name code addresses in the trace and at a crash after the symbols of an ELF file, a
                         System.map or a /proc/kallsyms; may be repeated
  --symbol-offset N      the guest runs so far from where the symbols say (KASLR); nokaslr on the kernel's
                         command line keeps Linux where its symbols are
  --timeout SECONDS      stop the machine after so long
  --json                 end with one line of JSON: the outcome and a summary

On a terminal every key goes to the guest. Ctrl-] gets partita's attention: then q quits, i prints a short
account of the machine, Ctrl-] sends itself.

Exit status: 0 when the guest powers off or resets, (v << 1) | 1 when it writes v to port 0xf4, 3 when it crashes,
124 after --timeout, 130 when quit from the keyboard or by SIGINT, 143 by SIGTERM, 2 when the command line or a
file is no good, 70 for a defect of partita.
`;

export const SYMBOLS_HELP = `partita symbols: a file for gdb's symbol-file, made from a list of symbols

  partita symbols FILE -o FILE.sym    from a System.map, the output of nm, or a guest's /proc/kallsyms

A kernel's package need not hold its symbols; the running guest does: cat /proc/kallsyms as root. They are good for the
next boot when the kernel does not move (nokaslr on its command line), else gdb's symbol-file -o OFFSET moves them.
`;

export const INSPECT_HELP = `partita inspect: looks inside a running machine of this user

  partita inspect          the machine, or a list when there are several
  partita inspect PID      the machine that process PID runs
  --json                   as JSON
  --map                    the partitions, their GPA spaces and memory pools, drawn on the terminal
  --svg FILE, --html FILE  the same as a picture
`;

export const PICTURE_HELP = `partita picture: draws what 'partita run --trace FILE' wrote

  partita picture FILE                the partitions, GPA spaces and memory pools, on the terminal
  --svg FILE                          as an SVG picture
  --html FILE                         as a page, with every deposit, draw, release and withdrawal

A partition that was finalized shows as it was before.
`;

export const SNAPSHOT_HELP = `partita snapshot: writes a running machine of this user to a file; the machine runs on

  partita snapshot FILE      the only machine that runs
  partita snapshot PID FILE  the machine that process PID runs
  --stop                     the machine ends once the snapshot is on the disk

  partita run --from FILE starts any number of machines where the snapshot was taken. Each has memory of its own, which
  comes from the file as it is needed; the file is not changed. Each guest is told by its generation ID that it is
  another machine now. The machines' time stood still in between; the clock on the wall did not.
`;

export const SAVE_HELP = `partita save: writes a running machine of this user to a file and ends it

  partita save FILE          the only machine that runs
  partita save PID FILE      the machine that process PID runs
  --continue                 the machine runs on (then this is partita snapshot)

  partita run --restore FILE goes on with it: memory, processors, timers and devices are as they were, and the
  machine's own time stood still in between. The file is a snapshot like any other: run --from takes it too. What
  --restore leaves out is the new generation ID: it is still the same machine.
`;

export const DEMO_HELP = `partita demo: boots a Debian kernel, fetched by apt-get download, to a shell on this terminal

  --flavour NAME     cloud (default), full or rt: linux-image-cloud-amd64, linux-image-amd64, linux-image-rt-amd64
  --memory SIZE      guest memory (default 512M)
  --scripted         run the fixed demonstration and power off, as when this is no terminal
  --small            boot partita's own small guest instead; needs no network
  --trace FILE       as partita run
`;
