"""Threads, processes, pipes, signals and time; prints the same on every machine that is right."""
import mmap, os, queue, signal, socket, subprocess, threading, time

count = 0
lock = threading.Lock()


def work():
    global count
    for _ in range(1000):
        with lock:
            count += 1


threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print('threads', count)

line = queue.Queue(3)
producer = threading.Thread(target=lambda: [line.put(i) for i in [*range(200), None]])
producer.start()
print('queue', sum(iter(line.get, None)))
producer.join()

for status in range(5):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.write(writer, b'x' * 70000)
        os._exit(status)
    os.close(writer)
    received = 0
    while data := os.read(reader, 65536):
        received += len(data)
    os.close(reader)
    assert (received, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) == (70000, status)
print('exec', subprocess.run(['seq', '1', '5'], capture_output=True, text=True).stdout.split())

hits = []
signal.signal(signal.SIGUSR1, lambda number, frame: hits.append(number))
for _ in range(20):
    os.kill(os.getpid(), signal.SIGUSR1)
print('signals', len(hits))
alarms = []
signal.signal(signal.SIGALRM, lambda number, frame: alarms.append(number))
started = time.monotonic()
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
number = 1.0
while len(alarms) < 6:
    number = (number * 1.0000001) % 7.3
signal.setitimer(signal.ITIMER_REAL, 0)
print('interval timer', 0.29 < time.monotonic() - started < 5)
for seconds in (0.01, 0.5):
    started, wall = time.monotonic(), time.time()
    time.sleep(seconds)
    slept = time.monotonic() - started
    print('sleep', seconds, seconds <= slept < seconds + 3, abs(time.time() - wall - slept) < 0.1)
readings = [time.monotonic_ns() for _ in range(10000)]
print('monotonic', readings == sorted(readings))

shared = mmap.mmap(-1, 1 << 20)
child = os.fork()
if child == 0:
    shared[:] = b'\x5a' * (1 << 20)
    os._exit(0)
os.waitpid(child, 0)
print('shared memory', shared[:] == b'\x5a' * (1 << 20))
child = os.fork()
if child == 0:
    import ctypes
    ctypes.string_at(8)
print('killed by', os.WTERMSIG(os.waitpid(child, 0)[1]))
one, other = socket.socketpair()
one.sendall(b'hello')
print('socket', other.recv(9))
