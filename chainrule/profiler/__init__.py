"""Where the time goes: ``profile`` times operations and modules, ``why_slow`` says what to do about it.

>>> import chainrule as cr
>>> with cr.profiler.profile() as p:
...     _ = cr.ones(3).exp().sum()
>>> sorted(row.name for row in p.key_averages())
['exp', 'sum']
"""

from chainrule.profiler.advice import Advice as Advice
from chainrule.profiler.averages import Averages as Averages
from chainrule.profiler.averages import Row as Row
from chainrule.profiler.events import Event as Event
from chainrule.profiler.recording import ProfilerActivity as ProfilerActivity
from chainrule.profiler.recording import profile as profile
from chainrule.profiler.recording import record_function as record_function
from chainrule.profiler.report import Report as Report
from chainrule.profiler.report import why_slow as why_slow
