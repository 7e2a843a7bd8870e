"""A Proxmox VE on loopback, obedient to whoever started it: a line of JSON in, a line of JSON out.

What it is told: {"call": METHOD, "args": [...], "kwargs": {...}} of the model, {"vm": ID, "set": {...}} of a machine,
{"requests": true} for what was asked since the last time. What the model is too lenient about is made strict here:
a parameter that the API does not know is refused.
"""

import asyncio
import json
import sys

from fakepve import FakePve
from fakepve.certs import make_cert

TOKEN = 'reconcile@pve!server'
KNOWN = {'timeout', 'forceStop', 'node', 'vmid', 'type'}


def machines(pve):
    pve.add_node('pve2')
    pve.add_vm(2001, 'rebrand-vm', node='pve2', status='stopped', config={'tags': 'linux;reconcile'})
    pve.add_vm(100, 'server', node='pve1', status='running', config={'tags': 'linux'})
    pve.apitokens[TOKEN] = '0f3a7c52-5a8e-4f0a-9d0e-1f2f3c4d5e6f'
    for vm in (100, 2001):
        pve.grant('reconcile@pve', '/vms/%d' % vm, 'VM.Audit', 'VM.PowerMgmt')


def obey(pve, order):
    if 'call' in order:
        found = getattr(pve, order['call'])(*order.get('args', []), **order.get('kwargs', {}))
        return found if isinstance(found, (str, int, float, bool, list)) else None
    if 'vm' in order:
        vm = pve.vm(order['vm'])
        for key, value in order['set'].items():
            setattr(vm, key, value)
        return vm.status
    asked = [[method, path] for method, path, _ in pve.requests]
    strange = [body for _, _, body in pve.requests if isinstance(body, dict) and set(body) - KNOWN]
    pve.requests.clear()
    return {'asked': asked, 'strange': strange}


async def main():
    pve = FakePve(user='root@pam', password='secret')
    pve.host, pve.port = '127.0.0.1', 0
    pve.time_scale = float(sys.argv[2])
    machines(pve)
    certfile, keyfile, der = make_cert(sys.argv[1])
    await pve.start(certfile, keyfile)
    print(json.dumps({'port': pve.port, 'ca': certfile, 'der': der.hex(), 'token': TOKEN + '=' + pve.apitokens[TOKEN]}),
          flush=True)
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    # Ends with the pipe, and so with the test that holds its other end.
    while line := await lines.readline():
        try:
            answer = {'said': obey(pve, json.loads(line))}
        except Exception as error:
            answer = {'error': repr(error)}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
