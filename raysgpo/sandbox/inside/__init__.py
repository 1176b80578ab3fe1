"""What runs in a sandbox. It imports the standard library and its own folder alone, and little of the former: every
module costs each program its time.
"""
