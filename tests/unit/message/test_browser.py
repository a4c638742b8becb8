"""Chromium as the reference for what a reader sees: hidden text, and ink that stands out from its ground.

The lists leave out what the browser's own answer does not tell: it checks the middle of the text, so that boxes that
show a part of it are no examples, nor are colours that only a browser resolves.
"""

import itertools
import re
from pathlib import Path

import pytest

from services.message.html import make_safe, sanitize
from services.message.html_text import to_text
from tests.unit.message.browser import CHROMIUM, WORD, judged

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
DECLARATIONS = [
    "display:none", "display:NONE !important", "display:none;display:block", "display:block;display:none",
    "display:none;display:foo", "display:n\\6fne", "visibility:hidden", "visibility:collapse", "opacity:0",
    "opacity:.001", "opacity:0%", "opacity:1e-9", "opacity:-1", "opacity:0.5", "font-size:0", "font-size:0px",
    "font-size:0%", "font-size:1px", "font-size:1px;line-height:1px", "font:0/0 a", "font:1px/1px Arial",
    "font-size:2px", "font-size:calc(0px)", "font-size:0;font-size:xyz", "font-size:14px", "text-indent:-9999px",
    "text-indent:-999em", "text-indent:9999px;white-space:nowrap;overflow:hidden",
    "text-indent:100%;white-space:nowrap;overflow:hidden", "text-indent:20px", "left:200vw;position:absolute",
    "position:absolute;left:-9999px", "position:absolute;top:-9999px", "position:fixed;top:9999px",
    "position:fixed;left:100vw", "position:relative;left:-9999px", "position:relative;left:9999px",
    "position:absolute;right:-9999px", "position:absolute;inset:0 auto auto -9999px", "position:static;left:-9999px",
    "left:-9999px", "position:absolute;left:100px", "position:absolute;left:3000px", "position:absolute;right:9999px",
    "position:absolute;bottom:9999px", "position:absolute;left:-100vw", "position:absolute;left:-100%",
    "position:absolute;left:-200%", "margin-left:-9999px", "margin-top:-9999px", "margin:-9999px 0 0 0",
    "margin:0 0 0 -9999px", "margin-left:9999px", "margin-left:200vw", "margin-left:100%", "padding-left:9999px",
    "margin-right:-9999px", "margin:0 auto", "overflow:hidden;height:0", "overflow:hidden;max-height:0",
    "overflow:hidden;width:0", "overflow:hidden;width:0;height:0", "overflow:hidden;height:1px",
    "overflow:hidden;max-height:0px;mso-hide:all", "overflow:clip;height:0", "overflow:auto;height:0",
    "overflow-y:hidden;height:0", "overflow:hidden;line-height:0;height:0", "height:0", "width:0", "max-height:0",
    "overflow:hidden;height:20px", "overflow:hidden;height:0%", "overflow:hidden;max-width:0",
    "overflow:scroll;max-height:0", "overflow:hidden visible;height:0", "overflow:hidden;height:0;padding-top:30px",
    "overflow:hidden;max-height:0;padding:20px", "contain:paint;height:0", "contain:strict;height:0",
    "contain:size;height:0", "overflow:hidden;height:calc(0px)", "overflow:hidden;block-size:0",
    "overflow:hidden;line-height:0", "clip-path:inset(100%)", "clip-path:inset(50%)", "clip-path:circle(0)",
    "clip-path:circle(0px at 0 0)", "clip-path:ellipse(0 0)", "clip-path:polygon(0 0,0 0,0 0)",
    "clip-path:polygon(0px 0px, 0px 0px, 0px 0px)", "clip-path:inset(0 0 100% 0)", "clip-path:inset(0 100% 0 0)",
    "clip-path:inset(100% 0 0 0)", "clip-path:inset(0)", "clip-path:rect(0 0 0 0)",
    "clip-path:polygon(0 0,100% 0,100% 100%,0 100%)", "position:absolute;clip:rect(0,0,0,0)",
    "position:absolute;clip:rect(0 0 0 0)", "position:absolute;clip:rect(1px,1px,1px,1px)", "clip:rect(0,0,0,0)",
    "position:absolute;clip:rect(0,100px,100px,0)", "position:absolute;clip:rect(auto,auto,auto,auto)",
    "position:absolute;clip:rect(1px 1px 1px 1px)", "position:absolute;clip:rect(0,auto,0,0)",
    "position:absolute;width:1px;height:1px;overflow:hidden;clip:rect(0,0,0,0);white-space:nowrap",
    "transform:scale(0)", "transform:scale(0,0)", "transform:scaleX(0)", "transform:scaleY(0)", "transform:scale(1,0)",
    "transform:scale3d(0,0,0)", "transform:translateX(-9999px)", "transform:translate(-9999px)",
    "transform:translate(0,-9999px)", "transform:translateX(9999px)", "transform:translateY(-200vh)",
    "transform:matrix(0,0,0,0,0,0)", "transform:rotateX(90deg)", "transform:rotateY(90deg)", "transform:scale(0.5)",
    "transform:scale(1)", "scale:0", "translate:-9999px", "translate:-9999px 0", "translate:0 -9999px",
    "translate:9999px", "transform:rotate(5deg) scale(0)", "scale:0.5", "scale:1 0", "zoom:0", "zoom:0.01",
    "transform:scale(0.001)", "transform:translate(-100%)", "transform:translate3d(-9999px,0,0)", "transform:none",
    "transform:perspective(500px) rotateY(90deg)", "rotate:x 90deg", "scale:0%", "transform:scale(0%)",
    "filter:opacity(0)", "filter:opacity(0%)", "filter:brightness(1)", "filter:blur(0)", "content-visibility:hidden",
    "mask:linear-gradient(transparent,transparent)", "color:transparent", "color:rgba(0,0,0,0)", "color:#fff0",
    "color:#ffffff00", "color:hsla(0,0%,0%,0)", "-webkit-text-fill-color:transparent", "color:rgb(0 0 0 / 0%)",
    "color:rgb(0 0 0/0)", "background:#fff;color:#fff", "background:#fff;color:white",
    "background:white;color:rgb(255,255,255)", "background:#000;color:#000", "background:black;color:rgb(0%,0%,0%)",
    "background:lightgray;color:lightgray", "background:lightgray;color:#d3d3d3", "background:#333;color:#333333",
    "background-color:#abc;color:#aabbcc", "background:#fff;color:#fefefe", "background:#fff;color:#f8f8f8",
    "background:#fff;color:#eee", "background:rgb(255 255 255);color:hsl(0,0%,100%)",
    "background:hsl(0 0% 100%);color:#fff", "background:#fff;color:hwb(0 100% 0%)",
    "background:#fff;color:rgba(255,255,255,.5)", "background:#fff;color:rgba(0,0,0,0.01)",
    "color:#fff;background:#000", "background:#fff url(x.png);color:#fff",
    "background:linear-gradient(red,blue);color:#fff", "background:#fff;background-image:none;color:#fff",
    "background:tomato;color:tomato", "background:rebeccapurple;color:#639", "background:papayawhip;color:#FFEFD5",
    "background:#fff!important;background:#000;color:#fff", "color:#fff!important;color:#000;background:#fff",
    "color:inherit", "background:whitesmoke;color:#f5f5f5", "background:#fff;color:lab(100% 0 0)",
    "background:#fff;color:oklch(1 0 0)", "color:#FFF;background:#FFF none repeat 0 0", "--d:none;display:var(--d)",
    "display:var(--x,none)", "--s:0;font-size:var(--s)", "--c:#fff;background:#fff;color:var(--c)",
    "display:table-cell", "display:inline", "display:table;width:0", "display:block ruby", "display:-webkit-box",
    "display:flow-root", "display:inline flex", "display:list-item", "letter-spacing:-9999px", "word-spacing:-9999px",
    "line-height:0", "line-height:0;overflow:hidden", "backface-visibility:hidden", "width:1px", "height:1px",
    "max-height:100px;overflow:hidden", "width:100px;height:100px;overflow:hidden", "font-size:200%",
    "font-size:1.5em", "font-size:smaller", "font-size:inherit",
    "text-overflow:ellipsis;overflow:hidden;white-space:nowrap;width:0",
]  # fmt: skip
SELECTORS = [
    ".x", ".x.y", ".y.x", ".x.y.z", "p.x", "p.x.y", "#i", "p#i", "#i.x", ".o .x", ".o > .x", ".o p", "div p",
    "div > p", "body .x", "html body .x", "body > div > .x", "body>p", "*", "div *", ".o *", "p", "[class]",
    "[class=x]", '[class="x y"]', "[class~=x]", "[class^=x]", "[class$=y]", '[class*="x"]', "[data-k]", '[data-k="v"]',
    "p[data-k=v]", "[data-k", "=v]", "[DATA-K]", ".x[data-k]", '[class="X Y" i]', "p:not(.q)", ".x:not(.y)",
    "p:not([data-k])", ":not(p)", ".q", ".x .y", ".x > .y", "div.o p.x.y", ".O .x", ".X", "P", "P.x", ".o .p .x",
    ".p .o .x", ".p > .o > .x", "#j .x", ".x:hover", ".x::before", "p::first-line", ".a + .x", ".a ~ .x", ".x, .q",
    ".q, .x", ".q,.x,.r", "a.x", "span .x", ".o  .x", ".o>.x", ".o\t.x", ".o\n.x", "section .x", ":root .x", ".x:link",
    ":is(.x)", ":where(.x)", ".x:is(p)", "p.q, p.x", ".x\\:y", ".x:empty", "[id]", "[id=i]", "p[id][class]",
    "[class='x y']",
]  # fmt: skip
SHEETS = [
    ".x{display:none}.x{display:block}", ".x{display:block}.x{display:none}", ".x.y{display:none}.x{display:block}",
    ".x{display:block}.x.y{display:none}", "#i{display:none}.x{display:block}",
    ".x{display:block!important}.x{display:none}", ".x{display:none!important}.x{display:block!important}",
    ".x{display:none!important}#i{display:block}", "p{display:none}.x{display:block}", "*{display:none}",
    "p{visibility:hidden}", ".o{visibility:hidden}.x{visibility:visible}", ".o{font-size:0}.x{font-size:14px}",
    ".o{font-size:0}.x{font-size:1em}", ".o{font-size:0}", ".o{opacity:0}.x{opacity:1}",
    ".o{color:#fff;background:#fff}", ".o{color:#fff;background:#fff}.x{color:#000}",
    ".o{background:#fff}.x{color:#fff}", ".o{background:#000}.x{color:#000}", "body{background:#fff}.x{color:#fff}",
    ".o{overflow:hidden}.o{height:0}", ".x{position:absolute}.x{left:-9999px}",
    ".x{overflow:hidden;height:0}.x{height:auto}", ".x{overflow:hidden;max-height:0}.x{overflow:visible}",
    ".x{font-size:1px;color:#fff}", ".x{display:none;}}", ".x{{display:none}", ".x{display:none}/*x*/",
    "/*.x{display:none}*/", ".x{/*display:none*/}", "<!-- .x{display:none} -->", '@import "a.css";.x{display:none}',
    '@charset "utf-8";.x{display:none}', "@font-face{font-family:x}.x{display:none}",
    "@media screen{.x{display:none}}", "@media all{.x{display:none}}", "@media print{.x{display:none}}",
    "@media not print{.x{display:none}}", "@media not screen{.x{display:none}}",
    "@media (min-width:1px){.x{display:none}}", "@media screen and (min-width:0){.x{display:none}}",
    "@media (max-width:99999px){.x{display:none}}", "@media only screen and (max-width:9999px){.x{display:none}}",
    "@media (max-width:600px){.x{display:none}}", "@media (width>=0){.x{display:none}}",
    "@media (width >= 10px){.x{display:none}}", "@media (min-width:99999px){.x{display:none}}",
    "@media not all and (min-width:99999px){.x{display:none}}", "@media not (min-width:99999px){.x{display:none}}",
    "@media print, screen{.x{display:none}}", "@media print,(min-width:1px){.x{display:none}}",
    "@media screen{@media (min-width:1px){.x{display:none}}}", "@supports (display:block){.x{display:none}}",
    "@supports not (display:block){.x{display:none}}", "@layer a{.x{display:none}}",
    "@media (min-width:0) and (max-width:9999px){.x{display:none}}", "@media screen and (color){.x{display:none}}",
    "@media{.x{display:none}}", "@media (0px <= width){.x{display:none}}",
    "@media (0 < width < 99999px){.x{display:none}}", "@media (min-height:1px){.x{display:none}}",
    "@media (any-hover:hover),(min-width:1px){.x{display:none}}", ".x{color:red;display:none}", ".x{;display:none}",
    ".x{display:none;color}", ".x{display :none}", ".x{DISPLAY:none}", ".X,.x{display:none}",
    '.x{content:"}";display:none}', '.x{background:url("a;b");display:none}',
    "a{color:red}.x{display:none}.q:hover{color:blue}", "@keyframes k{0%{opacity:0}}.x{opacity:1}",
    "@keyframes k{from{opacity:0}}.x{display:none}", "@page{margin:0}.x{display:none}",
]  # fmt: skip
FRAGMENTS = [
    "<p hidden>Ghost</p>", '<p hidden style="display:block">Ghost</p>', "<p aria-hidden=true>Ghost</p>",
    "<details><summary>x</summary>y</details><p>Ghost</p>", "<dialog>Ghost</dialog>", "<dialog open>Ghost</dialog>",
    "<template>Ghost</template>", "<noscript>Ghost</noscript>", "<ruby>a<rp>Ghost</rp></ruby>",
    "<ruby>a<rt>Ghost</rt></ruby>", "<table width=0 height=0><tr><td>Ghost</table>",
    "<table><tr><td width=0 height=0>Ghost</table>", '<table style="width:0;height:0"><tr><td>Ghost</table>',
    '<table style="display:none"><tr><td>Ghost</table>',
    '<table style="height:0;overflow:hidden"><tr><td>Ghost</table>',
    '<div style="height:0;overflow:hidden"><table><tr><td>Ghost</table></div>', "<font size=0>Ghost</font>",
    "<font size=1>Ghost</font>", '<font size="-7">Ghost</font>', "<font color=white>Ghost</font>",
    "<table bgcolor=white><tr><td><font color=white>Ghost</font></table>",
    '<table bgcolor="#ffffff"><tr><td style="color:#ffffff">Ghost</table>',
    '<body bgcolor="#fff" text="#fff">Ghost</body>', '<body bgcolor="#000" text="#000">Ghost</body>',
    '<body bgcolor="#000"><font color=black>Ghost</font></body>',
    '<body text=white bgcolor=white><p style="color:black">Ghost</p></body>',
    '<table><tr style="display:none"><td>Ghost</table>', '<table><tr style="visibility:collapse"><td>Ghost</table>',
    "<table><tr hidden><td>Ghost</table>", '<table><tbody style="display:none"><tr><td>Ghost</table>',
    "<noembed>Ghost</noembed>", "<noframes>Ghost</noframes>",
    "<datalist><option>Ghost</datalist>", "<map>Ghost</map>", "<label hidden>Ghost</label>",
    '<center style="display:none">Ghost</center>', '<a style="display:none">Ghost</a>', "<b hidden>Ghost</b>",
    '<div style="display:none"><div style="display:block">Ghost</div></div>',
    '<div style="visibility:hidden"><div style="visibility:visible">Ghost</div></div>',
    '<div style="opacity:0"><div style="opacity:1">Ghost</div></div>',
    '<div style="font-size:0"><div style="font-size:1em">Ghost</div></div>',
    '<div style="font-size:0"><div style="font-size:100%">Ghost</div></div>',
    '<div style="font-size:0"><div style="font-size:12px">Ghost</div></div>',
    '<div style="font-size:0"><div style="font-size:larger">Ghost</div></div>',
    '<div style="font-size:0"><div style="font-size:medium">Ghost</div></div>',
    '<div style="color:#fff;background:#fff"><span style="background:#000">Ghost</span></div>',
    '<div style="background:#fff"><p style="background:transparent"><span style="color:#fff">Ghost</span></p></div>',
    '<div style="background:#fff"><div style="background:none"><span style="color:#fff">Ghost</span></div></div>',
    '<div style="background:#fff"><div style="background:#000"><span style="color:#fff">Ghost</span></div></div>',
    '<div style="color:#fff;background:#fff"><a href="https://x">Ghost</a></div>',
    '<div style="position:relative;overflow:hidden;height:20px"><p style="position:absolute;left:-999px">Ghost</div>',
    '<div style="overflow:hidden;height:0"><p style="height:50px">Ghost</p></div>',
    "<style media=print>p{display:none}</style><p>Ghost", "<style media=screen>p{display:none}</style><p>Ghost",
    '<style media="(max-width:600px)">p{display:none}</style><p>Ghost',
    '<style media="">p{display:none}</style><p>Ghost', "<style media=all>p{display:none}</style><p>Ghost",
    '<style type="text/css">p{display:none}</style><p>Ghost',
    '<style type="text/plain">p{display:none}</style><p>Ghost', "<p>Ghost</p><style>p{display:none}</style>",
    '<div style="line-height:0;font-size:0"><span>Ghost</span></div>', "<fieldset hidden>Ghost</fieldset>",
    '<pre style="display:none">Ghost</pre>', '<nobr style="display:none">Ghost</nobr>',
    "<article hidden>Ghost</article>", '<custom-tag style="display:none">Ghost</custom-tag>',
    "<custom-tag hidden>Ghost</custom-tag>", "<details><summary>Ghost</summary></details>",
    "<span style='display:none'>Ghost</span>", "<span style=display:none>Ghost</span>",
    '<SPAN STYLE="DISPLAY:NONE">Ghost</SPAN>', '<span style="display&#58;none">Ghost</span>',
    '<span style="display:none" style="display:block">Ghost</span>',
    '<p style="color:white"><font color=black>Ghost</font>',
    '<p style="background-color:#fff;color:#000"><font color="#fff">Ghost</font>',
    '<p style="background:#fff"><font color="ffffff">Ghost</font>',
    '<p style="background:#fff"><font color="fff">Ghost</font>',
    '<div style="columns:2;height:0;overflow:hidden">Ghost</div>',
    '<div style="display:flex;width:0;overflow:hidden">Ghost</div>',
    '<span style="height:0;overflow:hidden">Ghost</span>', '<span style="width:0;overflow:hidden">Ghost</span>',
    '<span style="display:inline-block;width:0;overflow:hidden">Ghost</span>',
    '<span style="max-height:0;overflow:hidden">Ghost</span>', '<span style="text-indent:-9999px">Ghost</span>',
    '<b style="transform:scale(0)">Ghost</b>', '<b style="transform:translateX(-9999px)">Ghost</b>',
    '<span style="margin-top:-9999px">Ghost</span>',
]  # fmt: skip
COLOURS = [
    "background:#fff;color:color(srgb 1 1 1)", "background:#000;color:color(srgb 0 0 0)",
    "background:#f00;color:color(srgb 1 0 0)", "background:#fff;color:color(srgb 100% 100% 100%)",
    "color:color(srgb 1 1 1 / 0)", "color:color(srgb 0 0 0/0%)", "background:#fff;color:color(display-p3 1 1 1)",
    "background:#fff;color:color(srgb-linear 1 1 1)", "background:#000;color:color(rec2020 0 0 0)",
    "background:#fff;color:color(srgb 0 0 0)", "background:color(srgb 1 1 1);color:#fff",
    "background:color(srgb .5 .5 .5);color:#808080", "background:#fff;color:color(srgb 0.5 0.5 0.5)",
    "background:#fff;color:color(display-p3 .2 .4 .6)", "background:#fff;color:color(srgb 1 1)",
    "background:Canvas;color:#fff", "background:#fff;color:Canvas", "background:canvas;color:canvastext",
    "background:CanvasText;color:#000", "background:Canvas;color:Window", "background:Field;color:white",
    "background:Mark;color:#ff0", "background:linktext;color:#00e", "background:#fff;color:InfoBackground",
    "background:buttontext;color:#000", "background:#551a8b;color:visitedtext", "background:red;color:activetext",
    "background:#fff;color:menu", "background:menutext;color:black", "background:fieldtext;color:black",
    "background:marktext;color:#000", "background:#fff;color:background", "background:#fff;color:scrollbar",
    "background:#fff;color:appworkspace", "background:#fff;color:activecaption", "background:#000;color:captiontext",
    "background:#fff;color:inactivecaption", "background:#000;color:infotext", "background:#000;color:windowtext",
    "background:currentColor", "background-color:currentcolor", "background:currentColor;color:red",
    "background:currentColor;color:#000", "background:currentcolor none", "position:fixed;bottom:-200px",
    "position:fixed;top:-200px", "position:fixed;bottom:-100vh", "position:fixed;top:100vh", "position:fixed;top:100%",
    "position:fixed;bottom:100%", "position:fixed;left:100%", "position:fixed;right:100%", "position:fixed;bottom:-50%",
    "position:fixed;top:-50%", "position:fixed;top:10px", "position:fixed;bottom:10px", "position:fixed;bottom:-5em",
    "position:fixed;inset:auto 0 -200px 0", "position:fixed;inset:-200px 0 auto 0", "position:fixed;inset:0",
    "position:fixed;top:50%", "position:fixed;left:50%", "position:fixed;top:0;left:0;bottom:0;right:0",
    "position:fixed;inset:100% auto auto 0", "position:fixed;inset:auto auto 100% 0", "bottom:-200px",
    "position:relative;bottom:-200px",
]  # fmt: skip
INKED = [
    '<div style="color:red;background:currentcolor">{}</div>',
    '<a href=x><b style="background:currentcolor">{}</b></a>',
    '<div style="color:red"><p style="background:currentcolor">{}</p></div>',
    '<div style="background:currentcolor"><p style="color:#fff">{}</p></div>',
    '<div style="background:currentcolor"><a href=x>{}</a></div>',
    '<div style="background:currentcolor"><p>{}</p></div>',
    '<div style="background:currentcolor"><p style="background:#fff">{}</p></div>',
    '<div style="background:currentcolor;color:#fff"><p style="color:#000">{}</p></div>',
    '<font color=red><p style="background:currentcolor">{}</p></font>',
    '<body text=red><p style="background:currentcolor">{}</p>', '<a href=x style="background:currentcolor">{}</a>',
    '<div style="background:currentcolor"><font color=red>{}</font></div>',
]  # fmt: skip
PLACES = [
    ":first-child", ":last-child", ":only-child", ":nth-child(1)", ":nth-child(2)", ":nth-child(odd)",
    ":nth-child(2n)", ":nth-child(n+2)", ":nth-child(-n+2)", ":nth-child(3n-1)", ":nth-child( 2 )", ":nth-child(-2)",
    ":nth-child(0)", ":nth-child(x)", ":nth-child(2 n)", ":nth-child(2n + 0)", ":nth-child(2n +1)",
    ":NTH-CHILD(EVEN)", ":nth-last-child(3)", ":nth-last-child(n+3)", ":first-of-type", ":last-of-type",
    ":only-of-type", ":nth-of-type(2)", ":nth-last-of-type(3)", ":not(:first-child)", ":not(:nth-child(2))",
    ":is(:nth-child(2), a)", ":where(:first-child,:nth-child(2))", ":nth-child(n + 2):not(:last-child)",
]  # fmt: skip
AMONG = {
    "li": ["<ul><li>a</li><li>{}</li><li>c</li><li>d</li></ul>", "<ol><li>{}<li>b</ol>"],
    "p": [
        "<p>a</p><p>{}</p><div>b</div>", "a<p>{}</p>", "<br><p>{}</p><p>", "<title>x</title><p>{}</p>b<style>z</style>",
        "<meta name=a><p>{}</p>", "<p>a</p><style>z{{}}</style><p>{}</p>", "<select><option>x</select><p>{}</p>",
        "<html><head><title>x</title></head><body><p>{}</p></body></html>", "<div><p>{}</div><p>b",
    ],
    "tr": [
        "<table><tr><td>a<tr><td>{}</table>", "<table><thead><tr><th>h</thead><tr><td>{}</table>",
        "<table><caption>x</caption><tr><td>{}<tr><td>b</table>", "<table><tr><td>a</tr><tbody><tr><td>{}</table>",
    ],
    "td": ["<table><tr><td>a<td>{}<tr><td>c</table>", "<table><tr><td>{}<tr><td>c</table>"],
    "*": ["<div><b>a</b><b>{}</b></div>", "<p>{}</p>", "<i></i><p>{}</p>b<p>c</p>"],
}  # fmt: skip
NESTED = [
    ".o{.x{display:none}}", ".o{& .x{display:none}}", ".o{&.x{display:none}}", ".x{&.y{display:none}}",
    ".o{>.x{display:none}}", ".o{> .x{display:none}}", ".o{p{display:none}}", ".x{@media screen{display:none}}",
    ".x{@media print{display:none}}", ".o{color:red;.x{display:none}}", ".o{.q{top:0}.x{display:none}}",
    ".o{.x{display:none}color:red}", ".x{.o &{display:none}}", ".x{.q &{display:none}}", ".p{.o{.x{display:none}}}",
    ".p{.o{> .x{display:none}}}", ".q,.o{.x{display:none}}", ".o{.q,.x{display:none}}", ".o{.x{color:red}}",
    ".x{display:none;&{display:block}}", ".x{&{display:block}display:none}", ".o{.x{{display:none}}}",
    ".o{@media (min-width:1px){.x{display:none}}}", ".x{@supports (display:block){display:none}}",
    ".x{color:red;@media print{color:blue}display:none}", ".o{.x{display:none}", ".o{.x:hover{display:none}}",
    ".x{@layer a{display:none}}", ".o{:is(.x){display:none}}", ".o{*{display:none}}",
    "@media screen{.o{.x{display:none}}}", "@media print{.o{.x{display:none}}}", ".x{@font-face{a:b}display:none}",
    ".x{div > &{display:none}}", ".a{}.o{.x{display:none}}", ".o{.x{visibility:hidden}}.x{visibility:visible}",
    ".o{.x{display:none}}.x{display:block}", ".o{.x{display:none}}.p .o .x{display:block}",
    ".o{p:first-child{display:none}}", ".o{&:last-child p{display:none}}",
]  # fmt: skip
IMPLIED = [
    "<table><tr><td>{}</table>", "<table><td>{}</table>", "<table><tbody><tr><td>{}</table>",
    "<table><tbody><td>{}</table>", "<table><tr><th>a<tr><th>{}</table>", "<table><thead><tr><td>a</thead><tr><td>{}",
    "<table><caption>a</caption><tr><td>{}</table>", "<table><tr><td>a</table><table><tr><td>{}</table>",
    "<table><tr><td><table><tr><td>{}</table></table>", "<table><thead><th>a</thead><td>{}</table>",
    "<table><tr><td>a</tr></tbody><tr><td>{}</table>", "<table><tr><td>a</tr><tbody><tr><td>{}</table>",
]  # fmt: skip
OF_TABLES = [
    "table>*", "table>tbody", "tbody", "table > tr", "tbody>tr", "table *", "table tr>*", "tbody td", "table>td", "tr",
    "*>tr", "*>*>td", "table>*>tr", "table>*>*>*", "tbody>td", "tbody:first-child", "tbody:only-child",
    "table>:nth-child(2)", "table>:first-child", "tbody:nth-of-type(2)", "tr:first-child", "tbody>tr:last-child",
    "tr:nth-child(2)", ":not(tr)>tr", ":not(table,tbody,tr,td,div,body,html,thead,th,caption)",
    "table:not(.a)>:not(caption)",
]  # fmt: skip
PLACE = f'<div class="p"><div class="o" id="j"><p class="x y" id="i" data-k="v">{WORD}</p></div></div>'

_OF_A_PLACE = re.compile(r"-(?:child|of-type)", re.IGNORECASE)


def _fragments() -> list[str]:
    made = [
        f'<div style="{style}">{WORD}</div>' if number % 2 else f"<style>.o .x{{{style}}}</style>{PLACE}"
        for number, style in enumerate(DECLARATIONS)
    ]
    made += [f"<style>{selector}{{display:none}}</style>{PLACE}" for selector in SELECTORS]
    made += [f"<style>{sheet}</style>{PLACE}" for sheet in (*SHEETS, *NESTED)]
    made += [f'<div style="{style}">{WORD}</div>' for style in COLOURS] + [inked.format(WORD) for inked in INKED]
    for name, place in itertools.product(AMONG, PLACES):
        made += [f"<style>{name}{place}{{display:none}}</style>{among.format(WORD)}" for among in AMONG[name]]
    made += [
        f"<style>{selector}{{display:none}}</style>{table.format(WORD)}"
        for selector, table in itertools.product(OF_TABLES, IMPLIED)
    ]
    return made + FRAGMENTS


def test_a_reader_of_text_gets_the_text_that_a_browser_shows(tmp_path: Path) -> None:
    fragments = _fragments()
    wrong = []
    for fragment, found in zip(fragments, judged(fragments, tmp_path), strict=True):
        safe = make_safe(fragment)
        is_shown = WORD in to_text(safe.html)
        is_alone = not _OF_A_PLACE.search(fragment)  # else the words beside it may be hidden
        if is_shown != found["seen"] or (safe.has_hidden_text == is_shown and (is_alone or not is_shown)):
            wrong.append((fragment, found["seen"], is_shown, safe.has_hidden_text))

    assert len(fragments) > 1000
    assert [] == wrong


GROUNDS = [
    ("", "<div>", "</div>"), (".a{background:#0a0}", "<div class=a>", "</div>"),
    (".a{background-color:navy}", "<table><tr><td class=a>", "</table>"), ("body{background:#222}", "<p>", "</p>"),
    ("", "<div style='background:#030'>", "</div>"), ("", "<table bgcolor='#003300'><tr><td>", "</table>"),
    (".o .a{background:#000}", "<div class=o><p class=a>", "</p></div>"),
    (".a{background:#222}", "<div class=a><div style='background:#ffe'>", "</div></div>"),
]  # fmt: skip
INKS = [
    "<b style='color:#fff'>{}</b>", "<font color='#eeeeee'>{}</font>", "<i style='color:#333'>{}</i>", "{}",
    "<a href='https://x.example' style='color:#9cf'>{}</a>", "<b style='color:hsl(60,100%,80%)'>{}</b>",
]  # fmt: skip


def test_text_that_can_be_read_in_the_mail_can_be_read_in_the_html_that_is_made(tmp_path: Path) -> None:
    """WCAG 2.1, 1.4.3: a contrast of 3 to 1, against white where nothing else is the ground."""
    given = [
        f"<style>{sheet}</style>{before}{ink.format(WORD)}{behind}"
        for sheet, before, behind in GROUNDS for ink in INKS
    ]  # fmt: skip
    found = judged([*given, *map(sanitize, given)], tmp_path)
    pairs = zip(given, found[: len(given)], found[len(given) :], strict=True)
    readable = [(source, made["contrast"]) for source, before, made in pairs if before["contrast"] >= 3]

    assert len(readable) > 25
    assert [] == [(source, contrast) for source, contrast in readable if contrast < 3]
