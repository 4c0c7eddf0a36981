"""Flower's grid without its processes: each message goes to bytes and back, both ways."""

from flwr.app import Context, Error, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.task_identity import TaskIdentity

SERVER = 1


def through_bytes(message, count=lambda n_bytes: None):
    """What the other side gets of a message."""
    contents = {key: part.deflate() for key, part in get_all_nested_objects(message).items()}
    count(sum(map(len, contents.values())))
    copy = inflate_object_from_contents(message.object_id, contents)
    copy.metadata.__dict__["_message_id"] = message.object_id
    return copy


class LocalGrid(Grid):
    """Nodes in this process.

    Parameters
    ----------
    apps : dict
        Client app by node id.
    configs : dict
        Node configuration by node id.
    tamper : callable or None
        ``tamper(question's number, node, reply) -> reply`` or None for one that is lost.

    Attributes
    ----------
    n_bytes : list of int
        Of each message that has travelled, questions and replies.
    """

    run = None

    def __init__(self, apps, configs, tamper=None):
        self.apps, self.configs, self.tamper = dict(apps), configs, tamper
        self.states = {node: RecordDict() for node in self.apps}
        self.replies, self.n_asked, self.n_bytes = {}, {}, []
        TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = SERVER

    def set_run(self, run):
        raise NotImplementedError

    def create_message(self, *args, **options):
        raise NotImplementedError

    def send_and_receive(self, *args, **options):
        raise NotImplementedError

    def get_node_ids(self):
        return list(self.apps)

    def push_messages(self, messages):
        return [self._deliver(message) for message in messages]

    def pull_messages(self, message_ids):
        found = [self.replies.pop(key) for key in list(message_ids) if key in self.replies]
        return [through_bytes(reply, self.n_bytes.append) for reply in found if reply is not None]

    def _deliver(self, message):
        node = message.metadata.dst_node_id
        message.metadata.__dict__["_message_id"] = message.object_id
        received = through_bytes(message, self.n_bytes.append)
        # A new process has nothing but the state that its node has kept.
        context = Context(
            run_id=1, node_id=node, node_config=self.configs.get(node, {}),
            state=self.states[node], run_config={},
        )  # fmt: skip
        TaskIdentity.node_id = node
        try:
            reply = self.apps[node](received, context)
        except Exception as error:  # as Flower does: the server gets an error
            reply = Message(Error(code=1, reason=str(error)), reply_to=received)
        finally:
            TaskIdentity.node_id = SERVER
        self.states[node] = context.state
        number = self.n_asked[node] = self.n_asked.get(node, 0) + 1
        self.replies[message.object_id] = (
            self.tamper(number - 1, node, reply) if self.tamper else reply
        )
        return message.object_id
