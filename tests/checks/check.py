"""What the script checks share: counting named checks, and the closing line ./run test adds up."""
import shutil
import subprocess
import sys


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, name, good, detail=''):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print('FAILED: %s%s' % (name, ': ' + str(detail) if detail else ''))
        return good

    def skip(self, name, reason):
        self.skipped += 1
        print('skipped: %s: %s' % (name, reason))

    def close(self):
        print('%d passed, %d failed, %d skipped' % (self.passed, self.failed, self.skipped))
        sys.exit(1 if self.failed else 0)


def output(*command, **options):
    """Standard output of a command that must succeed."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **options).stdout


def attempt(*command, **options):
    """(exit status, both outputs) of a command that may fail, or not be there at all."""
    if not shutil.which(command[0]):
        return 127, command[0] + ': not found'
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **options)
    return done.returncode, done.stdout
