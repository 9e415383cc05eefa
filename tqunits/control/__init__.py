"""The protocol of the control sockets: protocol.py has the messages, questions.py asks, server.py
answers.

At present only the routers have such sockets. The protocol is HTTP/1.1 with JSON, one request for
each connection, so that curl can ask as well:

    curl --unix-socket /run/tqunits/proxy/1/control.sock http://router/status
"""
