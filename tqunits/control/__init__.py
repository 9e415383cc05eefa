"""What is said at the control sockets of this host: protocol.py says it, client.py asks, server.py
answers.

Today these are the routers' sockets. The protocol is HTTP/1.1 with JSON, a request for each
connection, so that curl can ask as well:

    curl --unix-socket /run/tqunits/proxy/1/control.sock http://router/status
"""
