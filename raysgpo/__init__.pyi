from raysgpo.command.notebook import train as train
from raysgpo.config import Config as Config
from raysgpo.config import TaskConfig as TaskConfig
from raysgpo.records import Problem as Problem
from raysgpo.tasks.task import Grade as Grade

__version__: str
